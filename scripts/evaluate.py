"""Compare estimators: python scripts/evaluate.py estimators=[unfolded,og_amp] scenarios=[paper,toy] n_scenes=64."""

from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from scenarios import named_scenario

from unfolded_ogamp.commands.evaluate import EvaluationSettings, drawn, run_evaluation
from unfolded_ogamp.commands.failure import one_line_failure
from unfolded_ogamp.commands.running import set_threads
from unfolded_ogamp.imaging.catalogue import build_estimators

SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "unfolded_ogamp"


@hydra.main(version_base="1.3", config_path="../conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    with one_line_failure():
        set_threads(config.threads)
        settings = EvaluationSettings(config.n_scenes, config.batch_size, config.seed, config.device)
        scenarios = [named_scenario(str(name)) for name in config.scenarios]
        estimators = build_estimators(OmegaConf.to_container(config.estimators), SHIPPED)
        run_evaluation(estimators, drawn(scenarios, settings), settings, Path(str(config.output)), Console())


if __name__ == "__main__":
    main()
