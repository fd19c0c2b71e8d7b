"""What the scripts do, apart from reading their configuration. Needs `rich` and `matplotlib`."""
