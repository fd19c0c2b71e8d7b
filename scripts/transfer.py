"""Trained on one scenario, tested on every other: python scripts/transfer.py "scenarios=[paper,toy]" n_scenes=50."""

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig
from rich.console import Console
from scenarios import named_scenario

from unfolded_ogamp.commands.evaluate import EvaluationSettings
from unfolded_ogamp.commands.failure import one_line_failure
from unfolded_ogamp.commands.running import set_threads
from unfolded_ogamp.imaging.commands.transfer import run_transfer


@hydra.main(version_base="1.3", config_path="../conf", config_name="transfer")
def main(config: DictConfig) -> None:
    with one_line_failure(InstantiationException):
        set_threads(config.threads)
        settings = EvaluationSettings(config.n_scenes, config.batch_size, config.seed, config.device)
        scenarios = [named_scenario(str(name)) for name in config.scenarios]
        mixture, recipe = hydra.utils.instantiate(config.mixture), hydra.utils.instantiate(config.recipe)
        run_transfer(scenarios, mixture, recipe, settings, Console())


if __name__ == "__main__":
    main()
