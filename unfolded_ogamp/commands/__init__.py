"""The commands behind the scripts. Needs `rich` and `matplotlib`."""
