"""Commands of imaging alone."""
