"""Imaging: scatterers off any grid and the phase of every node, from the CSI of a distributed array."""
