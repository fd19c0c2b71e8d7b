"""Model mismatch: extended targets, near fields of antennas, and a residual above the noise."""
