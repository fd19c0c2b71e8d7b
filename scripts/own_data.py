"""Estimators on measured CSI files whose truth is known: python scripts/own_data.py folder=DIR."""

from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from unfolded_ogamp.commands.failure import CommandError, one_line_failure
from unfolded_ogamp.imaging.catalogue import build_estimators
from unfolded_ogamp.imaging.commands.own_data import run_own_data

SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "unfolded_ogamp"


@hydra.main(version_base="1.3", config_path="../conf", config_name="own_data")
def main(config: DictConfig) -> None:
    with one_line_failure():
        if config.folder is None:
            raise CommandError("folder: expected folder=DIR, found none")
        estimators = build_estimators(OmegaConf.to_container(config.estimators), SHIPPED)
        names = None if config.files is None else [str(name) for name in config.files]
        run_own_data(Path(str(config.folder)), names, estimators, Path(str(config.output)), Console())


if __name__ == "__main__":
    main()
