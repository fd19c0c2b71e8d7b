"""Simulated CSI files with their truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from unfolded_ogamp.data.csi_file import save_csi
from unfolded_ogamp.data.dataset import SceneDataset, Source


def simulate(source: Source, n_scenes: int, seed: int, output: str | Path) -> Iterator[Path]:
    """Write the first `n_scenes` scenes of the test split to `output`/scene_0000.npz ... and yield each file's path."""
    if type(n_scenes) is not int or n_scenes < 1:
        raise ValueError(f"n_scenes: expected a whole number of at least 1, found {n_scenes!r}")
    dataset = SceneDataset(source, batch_size=1, seed=seed, split="test", dtype=torch.float64)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(n_scenes):
        scene, csi = dataset[0, index]
        path = folder / f"scene_{index:04d}.npz"
        save_csi(path, scene, csi)
        yield path
