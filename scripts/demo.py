"""The shipped network beside the classic estimators: python scripts/demo.py."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("demo")
