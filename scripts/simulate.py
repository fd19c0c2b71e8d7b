"""Write simulated CSI files: python scripts/simulate.py scenario=toy n_scenes=2 output=DIR."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("simulate")
