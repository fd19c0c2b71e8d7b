"""Train an unfolded network: python scripts/train.py [experiment=smoke] [run.resume=CHECKPOINT]."""

import hydra
from omegaconf import DictConfig, OmegaConf

from unfolded_ogamp.training import SceneDataModule, UnfoldedModule, fit


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(config: DictConfig) -> None:
    build = hydra.utils.instantiate
    data = SceneDataModule(build(config.mixture), build(config.validation), build(config.data))
    module = UnfoldedModule(build(config.network), build(config.loss), build(config.optimiser))
    configuration = OmegaConf.to_container(config, resolve=True)
    checkpoint = fit(module, data, build(config.classic), build(config.run), configuration)
    print(f"Export it with: python scripts/export.py checkpoint={checkpoint} output=FOLDER")


if __name__ == "__main__":
    main()
