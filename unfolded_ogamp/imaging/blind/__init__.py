"""Searches for scatterers and node phases without any knowledge of the phases, for few nodes."""
