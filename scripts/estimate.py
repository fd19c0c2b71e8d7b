"""Estimate from a CSI file: python scripts/estimate.py input=FILE.npz output=DIR estimator=unfolded."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("estimate")
