"""Estimate from a CSI file: python scripts/estimate.py input=FILE.npz output=DIR estimator=unfolded."""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from unfolded_ogamp.commands.estimate import run_estimate
from unfolded_ogamp.commands.failure import CommandError, one_line_failure
from unfolded_ogamp.imaging.catalogue import build_estimator, parse_entry

SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "unfolded_ogamp"


@hydra.main(version_base="1.3", config_path="../conf", config_name="estimate")
def main(config: DictConfig) -> None:
    with one_line_failure():
        if config.input is None:
            raise CommandError("input: expected input=FILE.npz, found none")
        entry = parse_entry({"name": config.estimator, "checkpoint": config.checkpoint})
        estimator = build_estimator(entry, SHIPPED)
        run_estimate(Path(str(config.input)), Path(str(config.output)), estimator, config.adapt, Console())


if __name__ == "__main__":
    main()
