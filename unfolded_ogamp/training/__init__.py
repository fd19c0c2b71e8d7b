"""Training of unfolded networks: the only package that uses Lightning."""
