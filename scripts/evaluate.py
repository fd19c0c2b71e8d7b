"""Compare estimators: python scripts/evaluate.py estimators=[unfolded,og_amp] scenarios=[paper,toy] n_scenes=64."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("evaluate")
