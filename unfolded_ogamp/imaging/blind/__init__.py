"""Searches for scatterers at unknown node phases, without a line of sight."""
