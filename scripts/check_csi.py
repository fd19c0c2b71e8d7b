"""Check what a CSI file means: python scripts/check_csi.py input=FILE.npz."""

from unfolded_ogamp.commands.main import main

if __name__ == "__main__":
    main("check_csi")
