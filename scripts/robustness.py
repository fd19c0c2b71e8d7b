"""How estimators do on scenes as they are in the field: python scripts/robustness.py perturbations=[nodes_20mm]."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("robustness")
