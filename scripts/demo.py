"""The shipped network beside the classic estimators: python scripts/demo.py."""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from unfolded_ogamp import load_pretrained
from unfolded_ogamp.commands.evaluate import EvaluationSettings
from unfolded_ogamp.commands.failure import one_line_failure
from unfolded_ogamp.imaging.commands.demo import run_demo

SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "unfolded_ogamp"


@hydra.main(version_base="1.3", config_path="../conf", config_name="demo")
def main(config: DictConfig) -> None:
    with one_line_failure():
        settings = EvaluationSettings(config.n_scenes, config.batch_size, config.seed)
        network = load_pretrained(SHIPPED if config.checkpoint is None else str(config.checkpoint))
        scenario = hydra.utils.instantiate(config.scenario)
        run_demo(network, scenario, settings, Path(str(config.picture)), Console())


if __name__ == "__main__":
    main()
