"""Search for the settings of an estimator: python scripts/tune.py estimator=fista n_draws=16 n_scenes=12."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("tune")
