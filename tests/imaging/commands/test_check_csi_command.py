"""The checks as a user runs them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from run_script import run_script

from unfolded_ogamp.imaging.files.csi import save_csi
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A good file, its conjugate, and one without frequencies."""
    folder = tmp_path_factory.mktemp("check")
    scenario = Scenario(n_tx=10, n_rx=9, pixels=(8, 8), sparsity=0.05)
    save_csi(folder / "good.npz", *draw(scenario, 1, torch.Generator().manual_seed(0)))
    arrays = dict(np.load(folder / "good.npz"))
    np.savez(folder / "conjugated.npz", **arrays | {"csi": arrays["csi"].conj()})
    np.savez(folder / "broken.npz", **{key: value for key, value in arrays.items() if key != "frequency"})
    return folder


def test_good_file_passes(folder, capfd):
    assert run_script("check_csi", f"input={folder / 'good.npz'}") == 0
    output = capfd.readouterr().out
    assert "fail" not in output
    assert all(name in output for name in ("axes", "frequency", "lengths", "delays", "line of sight", "point scatter"))


def test_conjugated_file_fails_and_says_what_to_do(folder, capfd):
    assert run_script("check_csi", f"input={folder / 'conjugated.npz'}") == 1
    words = capfd.readouterr().out.split()
    assert "fail" in words
    assert "conjugate" in words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["input={}/broken.npz"], "{}/broken.npz: frequency: expected this key, found only carrier_frequency, csi,"),
        (["input={}/none.npz"], "{}/none.npz: expected a file, found none"),
        ([], "input: expected input=VALUE, found none"),
    ],
)
def test_unusable_input_is_one_line(arguments, message, folder, capfd):
    assert run_script("check_csi", *(argument.format(folder) for argument in arguments)) == 2
    error = capfd.readouterr().err
    assert error.startswith(message.format(folder))
    assert error.count("\n") == 1
