"""Write simulated CSI files: python scripts/simulate.py scenario=toy n_scenes=2 output=DIR."""

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from unfolded_ogamp.commands.failure import one_line_failure
from unfolded_ogamp.imaging.files.csi import simulate


@hydra.main(version_base="1.3", config_path="../conf", config_name="simulate")
def main(config: DictConfig) -> None:
    with one_line_failure(ValueError, InstantiationException):
        source = hydra.utils.instantiate(config.scenario)
        for path in simulate(source, config.n_scenes, config.seed, config.output):
            print(path)


if __name__ == "__main__":
    main()
