"""Compare estimators: python scripts/evaluate.py estimators=[unfolded,og_amp] scenarios=[paper,toy] n_scenes=64."""

from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from unfolded_ogamp.catalogue import build_estimators
from unfolded_ogamp.commands.evaluate import EvaluationSettings, drawn, run_evaluation
from unfolded_ogamp.commands.failure import CommandError, one_line_failure
from unfolded_ogamp.commands.running import set_threads
from unfolded_ogamp.data import Scenario

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "checkpoints" / "unfolded_ogamp"
SCENARIOS = ROOT / "conf" / "scenario"


def named_scenario(name: str) -> Scenario:
    known = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
    if name not in known:
        raise CommandError(f"scenarios: expected some of {', '.join(known)}, found {name!r}")
    return hydra.utils.instantiate(OmegaConf.load(SCENARIOS / f"{name}.yaml"))


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
