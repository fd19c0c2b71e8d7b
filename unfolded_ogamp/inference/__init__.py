"""Inference methods without a scene model: message passing, node phases on a graph, damped least squares."""
