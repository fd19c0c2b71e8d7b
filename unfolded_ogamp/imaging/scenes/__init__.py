"""Simulated scenes: scenarios, mixtures of scenarios, random draws, and scenes that violate the model."""
