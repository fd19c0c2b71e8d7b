"""Train an unfolded network: python scripts/train.py [experiment=smoke] [run.resume=CHECKPOINT]."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("train")
