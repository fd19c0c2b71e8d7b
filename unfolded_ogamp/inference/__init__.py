"""Inference that knows no scene: message passing, node phases on a graph, damped least squares."""
