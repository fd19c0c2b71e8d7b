"""A good CSI file, for tests that change it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from csi_arrays import SCENARIO, Arrays

from unfolded_ogamp.imaging.files.csi import save_csi
from unfolded_ogamp.imaging.scenes.sampler import draw


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """Arrays of a good file with every key."""
    path = tmp_path_factory.mktemp("csi") / "scene.npz"
    save_csi(path, *draw(SCENARIO, 1, torch.Generator().manual_seed(0)))
    with np.load(path) as archive:
        return dict(archive)
