"""Search for the settings of an estimator: python scripts/tune.py estimator=fista n_draws=16 n_scenes=12."""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from unfolded_ogamp.commands.failure import CommandError, one_line_failure
from unfolded_ogamp.imaging.catalogue import build_estimator, parse_entry
from unfolded_ogamp.imaging.commands.tune import Range, TuningSettings, run_tuning

ROOT = Path(__file__).resolve().parents[1]


@hydra.main(version_base="1.3", config_path="../conf", config_name="tune")
def main(config: DictConfig) -> None:
    with one_line_failure():
        if config.estimator not in config.ranges:
            known = ", ".join(config.ranges)
            raise CommandError(f"estimator: expected one with ranges, {known}, found {config.estimator!r}")
        estimator = build_estimator(parse_entry(config.estimator), ROOT)
        ranges = {path: Range(**limits) for path, limits in config.ranges[config.estimator].items()}
        settings = TuningSettings(config.n_draws, config.n_scenes, config.seed)
        scenario = hydra.utils.instantiate(config.scenario)
        run_tuning(estimator, ranges, scenario, settings, Console())


if __name__ == "__main__":
    main()
