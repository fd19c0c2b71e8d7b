"""The estimate file contains the estimate in the units of the CSI file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unfolded_ogamp.imaging.files.estimate import save_estimate
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import PixelGrid, link_phase, nlos_channel

SCENARIO = Scenario(n_tx=8, n_rx=7, pixels=(6, 7), sparsity=0.05, n_subcarriers=3)


@pytest.fixture(scope="module")
def estimated():
    scene, csi = draw(SCENARIO, 2, torch.Generator().manual_seed(0))
    return scene, csi, AlternatingEstimator(PRESETS["og_amp"]())(csi, scene.array, scene.grid)


def test_file_predicts_the_csi(estimated, tmp_path):
    """With (8) alone, the estimate file reproduces its residual: units, signs and axes are right."""
    scene, csi, estimate = estimated
    save_estimate(tmp_path / "estimate.npz", estimate, scene.grid, {}, index=1)
    with np.load(tmp_path / "estimate.npz") as archive:
        assert archive["diagnosis"].dtype.kind == "U"
        file = {key: torch.from_numpy(archive[key]) for key in archive.files if key != "diagnosis"}
    channel = nlos_channel(scene.array[1:], file["position"][None], file["reflectivity"][None])
    phase = link_phase(file["tx_phase"][None], file["rx_phase"][None])
    left = csi.value[1:] - channel * torch.exp(-1j * phase)
    assert float(left.abs().square().mean()) == pytest.approx(float(file["residual"]), rel=0.05)
    assert float(file["residual"]) < 0.02 * float(csi.value[1].abs().square().mean())
    assert torch.equal(file["grid"], scene.grid.centre[1])
    assert torch.equal(file["pixel_probability"], estimate.pixel_probability[1])
    assert torch.equal(file["noise_variance"], estimate.noise_variance[1])
    assert torch.equal(file["position_std"], estimate.scatterers[1].position_std)
    assert torch.equal(file["probability"], estimate.scatterers[1].probability)
    assert bool(file["finite"])
    assert torch.equal(file["tx_position"], scene.array.tx[1])
    assert torch.equal(file["link_weight"], torch.ones(8, 7, dtype=file["link_weight"].dtype))
    assert not file["rx_position_std"].any()
    assert not file["extent"].any()


def test_gradients_do_not_matter(estimated, tmp_path):
    scene, _, estimate = estimated
    learned = torch.ones((), requires_grad=True)
    grid = PixelGrid(scene.grid.centre * learned, scene.grid.pixel)
    save_estimate(tmp_path / "estimate.npz", estimate, grid, {})
    with np.load(tmp_path / "estimate.npz") as archive:
        np.testing.assert_array_equal(archive["grid"], scene.grid.centre[0])
