"""Estimators on measured CSI files whose truth is known: python scripts/own_data.py folder=DIR."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("own_data")
