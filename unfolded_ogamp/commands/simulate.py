"""Simulate scenes and write them as measurement files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from rich.console import Console

from unfolded_ogamp.commands.running import make_folder, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.scenes import SceneDataset, Source
from unfolded_ogamp.settings import Settings, at_least
from unfolded_ogamp.system import Files, System


@dataclass(frozen=True)
class Options(Settings):
    """See `conf/simulate.yaml`."""

    scenario: Any
    n_scenes: Annotated[int, at_least(1)]
    seed: Annotated[int, at_least(0)]
    output: str


def kinds(system: System) -> Mapping[str, type]:
    """The options that depend on the system."""
    return {"scenario": system.scenario_kind}


def run(system: System, options: Options, console: Console) -> None:
    """Write the files and print their paths."""
    folder = Path(options.output)
    for path in simulate(system.the_files(), options.scenario, options.n_scenes, options.seed, folder):
        show(console, path)


def simulate(files: Files, source: Source[Any, Any], n_scenes: int, seed: int, folder: Path) -> Iterator[Path]:
    """Write the first `n_scenes` test scenes to `folder`/scene_0000.npz ... and yield the path of each file.

    Raises:
        InputError: if the folder cannot be written, or a scene cannot be drawn or written.
    """
    make_folder(folder)
    dataset = SceneDataset(source, batch_size=1, seed=seed, split="test", dtype=torch.float64)
    for index in range(n_scenes):
        path = folder / f"scene_{index:04d}.npz"
        try:
            files.write(path, *dataset[0, index])
        except ValueError as error:
            raise InputError(f"{path}: {error}") from error
        yield path
