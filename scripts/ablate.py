"""What each part of a network is worth: python scripts/ablate.py scenario=nodes_16 n_scenes=50 output=DIR."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("ablate")
