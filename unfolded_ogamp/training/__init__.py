"""Training of unfolded networks: the only place that knows Lightning."""
