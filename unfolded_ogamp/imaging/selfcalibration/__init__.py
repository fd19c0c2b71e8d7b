"""Self-calibration: node positions, gains and moments of extended targets as unknowns with priors, and robust links."""
