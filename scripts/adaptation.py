"""Whether adapting the network to a measurement helps: python scripts/adaptation.py scenario=nodes_16 output=DIR."""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from unfolded_ogamp.commands.failure import one_line_failure
from unfolded_ogamp.commands.running import set_threads
from unfolded_ogamp.imaging.commands.adaptation import AdaptationStudy, run_adaptation
from unfolded_ogamp.pretrained import load_pretrained

SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "unfolded_ogamp"


@hydra.main(version_base="1.3", config_path="../conf", config_name="adaptation")
def main(config: DictConfig) -> None:
    with one_line_failure():
        set_threads(config.threads)
        adaptation = hydra.utils.instantiate(config.adaptation)
        study = AdaptationStudy(config.n_scenes, config.seed, config.device, config.fallback, adaptation)
        network = load_pretrained(SHIPPED if config.checkpoint is None else Path(str(config.checkpoint)))
        scenario = hydra.utils.instantiate(config.scenario)
        run_adaptation(network, scenario, study, Path(str(config.output)), Console())


if __name__ == "__main__":
    main()
