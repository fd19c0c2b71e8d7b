"""Numbers computed directly from the equations by separate code; see tests/golden/README.md."""

from __future__ import annotations

import os

import numpy as np
import pytest
from places import GOLDEN

# Before any import of torch: on small scenes the synchronisation of threads costs more time than it saves.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def load_golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / name) as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def golden_signal_model() -> dict[str, np.ndarray]:
    return load_golden("signal_model.npz")


@pytest.fixture(scope="session")
def golden_edge_messages() -> dict[str, np.ndarray]:
    return load_golden("edge_messages.npz")


@pytest.fixture(scope="session")
def golden_joint_bound() -> dict[str, np.ndarray]:
    return load_golden("joint_bound.npz")
