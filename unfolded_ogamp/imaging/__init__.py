"""Imaging: off-grid positions of scatterers and the phase of every node, from the CSI of a distributed array."""
