"""Blind searches: scatterers and node phases of networks of few nodes, without any synchronisation."""
