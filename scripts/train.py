"""Train an unfolded network: python scripts/train.py [experiment=smoke] [run.resume=CHECKPOINT]."""

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from unfolded_ogamp.commands.failure import one_line_failure
from unfolded_ogamp.training.datamodule import SceneDataModule
from unfolded_ogamp.training.module import UnfoldedModule
from unfolded_ogamp.training.run import fit


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(config: DictConfig) -> None:
    build = hydra.utils.instantiate
    with one_line_failure(InstantiationException):
        data = SceneDataModule(build(config.mixture), build(config.validation), build(config.data))
        module = UnfoldedModule(build(config.network), build(config.loss), build(config.optimiser))
        classic, run = build(config.classic), build(config.run)
        checkpoint = fit(module, data, classic, run, OmegaConf.to_container(config, resolve=True))
    print(f"Export it with: python scripts/export.py checkpoint={checkpoint} output=FOLDER")


if __name__ == "__main__":
    main()
