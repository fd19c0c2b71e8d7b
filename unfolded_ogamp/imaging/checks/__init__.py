"""Whether CSI means what it should: units, axes, sign of the exponent, geometry."""
