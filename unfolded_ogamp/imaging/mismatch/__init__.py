"""What the CSI holds beside point scatterers, the assumed line of sight and noise."""
