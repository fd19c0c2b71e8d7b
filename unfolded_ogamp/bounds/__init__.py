"""Cramer-Rao bounds: the Fisher matrix with gauge, prior and nuisance unknowns, and one file per model."""
