"""Scene and CSI after coarse synchronisation are consistent."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from unfolded_ogamp.imaging.scenes.sampler import draw, draw_scene, without_common_phase
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import isolated_nodes, link_phase, link_phase_error, measure, noise_free_csi

SCENARIO = Scenario(n_tx=12, n_rx=10, phase_model="clocks", los=True, blocked_los=0.3, bandwidth=50e6)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_residual_phases_fit_the_csi_to_the_noise(generator):
    """A wrong sign, subcarrier or line of sight would leave a residual far above the noise."""
    scene, csi = draw(SCENARIO, 6, generator)
    assert scene.array.frequency[0].tolist() == [1e9, 1e9 + 120e3]
    left = (csi.value - noise_free_csi(scene)).abs().square().mean((1, 2, 3)) / scene.noise_variance
    assert left.mean() == pytest.approx(1, rel=4 / math.sqrt(6 * 240))
    assert torch.equal(csi.los, scene.los)
    assert torch.equal(csi.los_trusted, scene.los)


def test_synchronisation_does_not_change_the_noise(generator):
    """Removing phases rotates the noise, but does not change its power."""
    wide = draw_scene(SCENARIO, 1, generator)
    middle = slice(SCENARIO.n_band // 2, SCENARIO.n_band // 2 + 2)
    noise = (measure(wide, generator).value - noise_free_csi(wide))[..., middle]
    scene, csi = draw(SCENARIO, 1, torch.Generator().manual_seed(0))
    torch.testing.assert_close((csi.value - noise_free_csi(scene)).abs(), noise.abs(), rtol=1e-5, atol=1e-9)


def test_coarse_synchronisation_removes_most_of_the_phase_error(generator):
    """From uniform phases to less than half of the errors of Section VI, the same on both subcarriers."""
    scene, _ = draw(replace(SCENARIO, n_tx=30, n_rx=30), 4, generator)
    phase = link_phase(scene.tx_phase, scene.rx_phase)
    error = link_phase_error(torch.zeros_like(phase), phase, scene.link)
    assert error.square().mean((1, 2, 3)).sqrt().median() < 0.1 * math.pi
    assert (error[..., 1] - error[..., 0]).abs().max() < 0.02
    assert error.abs().max() > 0.01


def test_nodes_without_a_line_of_sight_keep_one_arbitrary_phase(generator):
    scene, _ = draw(replace(SCENARIO, n_tx=20, n_rx=20, blocked_los=0.92), 6, generator)
    without = isolated_nodes(scene.los)
    assert without.sum() > 10
    phase = torch.cat([scene.tx_phase, scene.rx_phase], 1)
    uniform = torch.exp(1j * phase[..., 0])[without]
    assert abs(uniform.mean()) < 4 / math.sqrt(len(uniform))
    apart = torch.exp(1j * phase.diff(dim=-1)[..., 0])
    common = apart.sum(1, keepdim=True)
    assert (apart * common.conj()).angle()[without].abs().max() < 0.05


def test_subtracted_line_of_sight_leaks_by_the_residual_phases(generator):
    """(29): the CSI keeps the leakage (exp(-j dPhi) - 1) h_LOS, and does not mark it as a line of sight."""
    kept_scene, kept = draw(SCENARIO, 3, generator)
    scene, csi = draw(replace(SCENARIO, subtract_los=True), 3, torch.Generator().manual_seed(0))
    assert not scene.los.any()
    assert not csi.los.any()
    assert not csi.los_trusted.any()
    error = link_phase(scene.tx_phase, scene.rx_phase)
    leakage = (torch.exp(-1j * error) - 1) * kept.los_channel * kept_scene.los[..., None]
    noise = kept.value - noise_free_csi(kept_scene)
    torch.testing.assert_close(csi.value, noise_free_csi(scene) + noise + leakage)
    scattered = noise_free_csi(scene).abs().square().mean()
    assert leakage.abs().square().mean() > 0.01 * scattered


def test_common_phase_is_the_mean_of_the_nodes(generator):
    scene = draw_scene(replace(SCENARIO, bandwidth=None, phase_model="uniform"), 2, generator)
    common = torch.tensor([2.0, -1.0], dtype=torch.float64)[:, None, None]
    before = without_common_phase(scene.tx_phase, scene.rx_phase, scene.los)
    after = without_common_phase(scene.tx_phase + common, scene.rx_phase + common, scene.los)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(torch.exp(1j * one), torch.exp(1j * other))
    mean = torch.exp(1j * torch.cat(after, 1)).sum(1)
    torch.testing.assert_close(mean, mean.abs().to(mean))
    error = link_phase(*after) - link_phase(scene.tx_phase, scene.rx_phase)
    assert (torch.exp(1j * error) - 1).abs().max() < 1e-12
