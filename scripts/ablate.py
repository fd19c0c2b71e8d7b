"""What each part of a network is worth: python scripts/ablate.py scenario=nodes_16 n_scenes=50 output=DIR."""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from unfolded_ogamp.commands.evaluate import EvaluationSettings, drawn, run_evaluation
from unfolded_ogamp.commands.failure import one_line_failure
from unfolded_ogamp.commands.running import set_threads
from unfolded_ogamp.imaging.commands.ablate import variants
from unfolded_ogamp.pretrained import load_pretrained

SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "unfolded_ogamp"


@hydra.main(version_base="1.3", config_path="../conf", config_name="ablate")
def main(config: DictConfig) -> None:
    with one_line_failure():
        set_threads(config.threads)
        settings = EvaluationSettings(config.n_scenes, config.batch_size, config.seed, config.device)
        network = load_pretrained(SHIPPED if config.checkpoint is None else Path(str(config.checkpoint)))
        scenario = hydra.utils.instantiate(config.scenario)
        run_evaluation(variants(network), drawn([scenario], settings), settings, Path(str(config.output)), Console())


if __name__ == "__main__":
    main()
