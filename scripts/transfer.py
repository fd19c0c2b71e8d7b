"""Trained on one scenario, tested on every other: python scripts/transfer.py "scenarios=[paper,toy]" n_scenes=50."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("transfer")
