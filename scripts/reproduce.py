"""A figure of the paper: python scripts/reproduce.py figure=6 [size=full] [output=DIR]."""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from unfolded_ogamp import load_pretrained
from unfolded_ogamp.commands.failure import one_line_failure
from unfolded_ogamp.commands.reproduce import ReproductionSettings, run_reproduction
from unfolded_ogamp.commands.running import set_threads

SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "unfolded_ogamp"


@hydra.main(version_base="1.3", config_path="../conf", config_name="reproduce")
def main(config: DictConfig) -> None:
    with one_line_failure():
        set_threads(config.threads)
        settings = ReproductionSettings(str(config.figure), str(config.size), config.seed)
        network = load_pretrained(SHIPPED if config.checkpoint is None else str(config.checkpoint))
        run_reproduction(settings, network, Path(str(config.output)), Console())


if __name__ == "__main__":
    main()
