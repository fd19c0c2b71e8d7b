"""Searches for scatterers and node phases together, for few nodes without any synchronisation."""
