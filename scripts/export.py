"""Export a trained network: python scripts/export.py checkpoint=FILE.ckpt output=FOLDER [results=results.json]."""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from unfolded_ogamp.commands.export import run_export
from unfolded_ogamp.commands.failure import CommandError, one_line_failure


@hydra.main(version_base="1.3", config_path="../conf", config_name="export")
def main(config: DictConfig) -> None:
    with one_line_failure():
        for name in ("checkpoint", "output"):
            if config[name] is None:
                raise CommandError(f"{name}: expected {name}=PATH, found none")
        results = None if config.results is None else Path(str(config.results))
        run_export(Path(str(config.checkpoint)), results, Path(str(config.output)), Console())


if __name__ == "__main__":
    main()
