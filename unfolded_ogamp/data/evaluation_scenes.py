"""The scenes that estimators are judged on."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unfolded_ogamp.data.dataset import SceneDataset
from unfolded_ogamp.data.scenario import Scenario
from unfolded_ogamp.physics import Csi, Scene
from unfolded_ogamp.records import concatenate


def evaluation_scenes(
    scenario: Scenario, n_scenes: int, batch_size: int, seed: int, dtype: torch.dtype = torch.float32
) -> Iterator[tuple[Scene, Csi]]:
    """The first `n_scenes` scenes of the test split, in batches of which the last may be smaller.

    Each scene is drawn on its own, so that neither the batch size nor the number of scenes changes what is in it; they
    are the scenes that `simulate` writes.
    """
    dataset = SceneDataset(scenario, batch_size=1, seed=seed, split="test", dtype=dtype)
    for first in range(0, n_scenes, batch_size):
        drawn = [dataset[0, index] for index in range(first, min(first + batch_size, n_scenes))]
        yield concatenate([scene for scene, _ in drawn]), concatenate([csi for _, csi in drawn])
