"""Check what a CSI file means: python scripts/check_csi.py input=FILE.npz."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from unfolded_ogamp.commands.failure import CommandError, one_line_failure
from unfolded_ogamp.imaging.commands.check_csi import run_checks


@hydra.main(version_base="1.3", config_path="../conf", config_name="check_csi")
def main(config: DictConfig) -> None:
    with one_line_failure():
        if config.input is None:
            raise CommandError("input: expected input=FILE.npz, found none")
        passed = run_checks(Path(str(config.input)), Console())
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
