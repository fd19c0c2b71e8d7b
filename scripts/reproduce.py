"""A figure of the paper: python scripts/reproduce.py figure=6 [size=full] [output=DIR]."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("reproduce")
