"""The greedy joint estimator: one scatterer after another, everything fitted together, with restarts."""
