"""The greedy joint estimator: it adds scatterers one by one, fits all unknowns together, and restarts if needed."""
