"""Whether estimates are as reliable as they say: python scripts/confidence.py [scenarios=[room,blind_16]]."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("confidence")
