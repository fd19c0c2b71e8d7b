"""Simulated scenes: scenarios, mixtures of them, their draws, and scenes that break the assumptions."""
