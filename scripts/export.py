"""Export a trained network: python scripts/export.py checkpoint=FILE.ckpt output=FOLDER [results=results.json]."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("export")
