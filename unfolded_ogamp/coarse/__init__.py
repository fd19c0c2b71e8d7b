"""Coarse synchronisation over the line of sight: delay profiles, and the clocks of the nodes."""
