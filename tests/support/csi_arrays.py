"""CSI files made by hand from the arrays of a good one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unfolded_ogamp.imaging.scenes.scenario import Scenario

SCENARIO = Scenario(n_tx=5, n_rx=4, pixels=(6, 8), missing_links=0.2, los=True)

Arrays = dict[str, np.ndarray]


def write(path: Path, arrays: Arrays, without: tuple[str, ...] = (), **changed: object) -> Path:
    kept = {key: array for key, array in arrays.items() if key not in without}
    np.savez(path, **kept | changed)
    return path


def edited(array: np.ndarray, index: object, value: object) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array
