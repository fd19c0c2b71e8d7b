"""The reference numbers are those that their generator makes."""

from __future__ import annotations

import runpy

import numpy as np
from places import GOLDEN


def test_generator_makes_the_files():
    generator = runpy.run_path(str(GOLDEN / "generate.py"))
    made = generator["reference_numbers"]()
    assert {f"{name}.npz" for name in made} == {path.name for path in GOLDEN.glob("*.npz")}
    for name, arrays in made.items():
        with np.load(GOLDEN / f"{name}.npz") as stored:
            assert set(stored) == set(arrays)
            for key, expected in stored.items():
                # central differences magnify the rounding of other processors, and the bound inverts them
                rounding = (1e-8 if name == "joint_bound" else 1e-9) * np.abs(expected).max()
                np.testing.assert_allclose(arrays[key], expected, rtol=0, atol=rounding, err_msg=f"{name}: {key}")
