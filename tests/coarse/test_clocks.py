"""Coarse synchronisation as a whole: exact without noise, efficient with noise, invariant to unobservable changes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unfolded_ogamp.coarse.clocks import CoarseSettings, synchronise
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Scene, laplacian, link_phase, link_phase_error, main_part, measure

BAND = Scenario(
    n_tx=8, n_rx=7, phase_model="clocks", los=True, blocked_los=0.4, missing_links=0.2, bandwidth=12e6, sparsity=0.01
)
VOLUME = replace(BAND, pixels=(5, 5, 5), node_radius=(1.0, 1.5))


def free_space(scenario: Scenario, snr_db: float, seed: int, batch: int = 3) -> Scene:
    """Scenes in which nothing scatters; the noise is below the weakest line of sight by `snr_db`."""
    scene = draw_scene(scenario, batch, torch.Generator().manual_seed(seed))
    weakest = 1 / (4 * math.pi * 2.5 * scenario.side / scene.array.wavelength)
    noise = weakest.square() * 10 ** (-snr_db / 10)
    return replace(scene, reflectivity=0 * scene.reflectivity, noise_variance=noise)


def joined_links(scene: Scene) -> Tensor:
    """Links between nodes that are connected by lines of sight: bool [B, n_tx, n_rx]."""
    nodes = main_part(scene.los)
    n_tx = scene.los.shape[1]
    return nodes[:, :n_tx, None] & nodes[:, None, n_tx:]


def phase_error(scene: Scene, settings: CoarseSettings, seed: int = 0) -> Tensor:
    """Error of every link on every subcarrier, minus that of the first joined one: [B, n_tx, n_rx, K]."""
    csi = measure(scene, torch.Generator().manual_seed(seed))
    found = synchronise(csi, scene.array, settings).phases_at(scene.array.frequency)
    true = link_phase(scene.tx_phase, scene.rx_phase)
    error = link_phase(*found) - true
    return torch.complex(error.cos(), error.sin()).angle() * joined_links(scene)[..., None]


@pytest.mark.parametrize("scenario", [BAND, VOLUME], ids=["plane", "space"])
def test_free_space_without_noise_is_exact_on_the_whole_band(scenario):
    """Also on links without a line of sight, and without a gauge, as the line of sight is known."""
    scene = free_space(scenario, snr_db=300.0, seed=0)
    assert scene.los.double().mean() < 0.6
    assert joined_links(scene).double().mean() > 0.9
    assert phase_error(scene, CoarseSettings(steps=10)).abs().max() < 1e-6


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_single_precision_works_at_any_scale(scale):
    """At 3.5 GHz, where single precision rounds subcarriers by more than a thousandth of their spacing."""
    scene = free_space(replace(BAND, carrier_frequency=3.5e9), snr_db=60.0, seed=9)
    csi = measure(scene, torch.Generator().manual_seed(0))
    exact = link_phase(*synchronise(csi, scene.array, CoarseSettings()).phases_at(scene.array.frequency))
    csi = replace(csi, value=scale * csi.value, los_channel=scale * csi.los_channel).to(torch.float32)
    array = scene.array.to(torch.float32)
    found = link_phase(*synchronise(csi, array, CoarseSettings()).phases_at(array.frequency))
    middle = scene.array.frequency.shape[1] // 2
    error = link_phase_error(found[..., [middle]].double(), exact[..., [middle]], joined_links(scene))
    assert float(error.abs().max()) < 0.01


def test_free_space_with_noise_is_on_the_bound():
    """Phases in the middle of the band and delays have the covariance of the Laplacian, weighted by |h|^2."""
    scene = free_space(BAND, snr_db=-5.0, seed=1, batch=1)
    scene = scene[torch.zeros(300, dtype=torch.long)]
    error = phase_error(scene, CoarseSettings(steps=8))
    joined, weight = joined_links(scene)[0], scene.los[0] * los_power(scene)[0]
    covariance = torch.linalg.pinv(laplacian(weight[None]), hermitian=True)[0] * scene.noise_variance[0] / 2
    variance = covariance.diagonal()
    n_tx, n_band = scene.los.shape[1], scene.array.frequency.shape[1]
    expected = (variance[:n_tx, None] + variance[n_tx:] - 2 * covariance[:n_tx, n_tx:])[joined].mean()
    middle = n_band // 2
    offset = torch.arange(n_band, dtype=torch.float64) - middle
    in_phase = error[..., middle][:, joined].square().mean()
    in_delay = (error[..., -1] - error[..., middle])[:, joined].square().mean() / offset[-1].square()
    assert in_phase == pytest.approx(float(expected / n_band), rel=0.15)
    assert in_delay == pytest.approx(float(expected / offset.square().sum()), rel=0.15)


def los_power(scene: Scene) -> Tensor:
    """|h|^2 of every free path [B, n_tx, n_rx]."""
    distance = torch.cdist(scene.array.tx, scene.array.rx)
    return (scene.array.wavelength[:, None, None] / (4 * math.pi * distance)).square()


def test_clocks_that_differ_by_a_symbol_or_all_alike_are_the_same():
    scene = draw_scene(BAND, 2, torch.Generator().manual_seed(2))
    scene = replace(scene, noise_variance=0 * scene.noise_variance)
    symbol = 2 * math.pi * scene.array.frequency[:, None] / BAND.subcarrier_spacing
    common = 2 * math.pi * scene.array.frequency[:, None] * 3e-6 + 1.0
    turns = torch.arange(8, dtype=torch.float64)[:, None] - 3
    moved = replace(scene, tx_phase=scene.tx_phase + symbol * turns + common, rx_phase=scene.rx_phase + common)
    first, second = phase_error(scene, CoarseSettings()), phase_error(moved, CoarseSettings())
    assert first.abs().max() > 1e-3
    torch.testing.assert_close(first, second, rtol=0, atol=1e-8)


def test_error_comes_from_scattering_within_the_resolution_and_falls_with_bandwidth():
    """At 20 MHz a tap is 15 m long, at 160 MHz it is 1.9 m: fewer echoes fall into that of the line of sight."""
    errors = []
    for bandwidth in (20e6, 160e6):
        scenario = Scenario(n_tx=15, n_rx=15, phase_model="clocks", los=True, blocked_los=0.3, bandwidth=bandwidth)
        scene = draw_scene(scenario, 4, torch.Generator().manual_seed(3))
        middle = slice(scenario.n_band // 2, scenario.n_band // 2 + 1)
        csi = measure(scene, torch.Generator().manual_seed(4))
        found = synchronise(csi, scene.array, CoarseSettings()).phases_at(scene.array.frequency[:, middle])
        true = link_phase(scene.tx_phase[..., middle], scene.rx_phase[..., middle])
        errors.append(link_phase_error(link_phase(*found), true, scene.link).square().mean().sqrt())
    assert errors[1] < 0.8 * errors[0]
    assert errors[0] < 0.2 * math.pi


def test_missing_links_and_coinciding_nodes_do_not_change_the_result():
    """The distance from a transceiver to itself is zero; that link is not measured."""
    scene = free_space(BAND, snr_db=300.0, seed=5)
    rx = scene.array.rx.clone()
    rx[:, 0] = scene.array.tx[:, 0]
    link, los = scene.link.clone(), scene.los.clone()
    link[:, 0, 0] = los[:, 0, 0] = False
    scene = replace(scene, array=replace(scene.array, rx=rx), link=link, los=los)
    csi = measure(scene, torch.Generator().manual_seed(0))
    value = torch.where(link[..., None], csi.value, 0)
    clocks = synchronise(replace(csi, value=value), scene.array, CoarseSettings())
    assert torch.isfinite(torch.cat([clocks.tx_phase, clocks.rx_phase, clocks.tx_delay, clocks.rx_delay], 1)).all()


@pytest.mark.parametrize(
    ("frequency", "message"),
    [
        ([1e9, 1.1e9], "needs at least 3 subcarriers, got 2"),
        ([1e9, 1.1e9, 1.3e9], "needs uniformly spaced, rising subcarriers, got others"),
        ([1.2e9, 1.1e9, 1e9], "needs uniformly spaced, rising subcarriers, got others"),
    ],
)
def test_subcarriers_that_are_no_band_are_refused(frequency, message):
    scene = draw_scene(
        replace(BAND, bandwidth=None, phase_model="uniform", n_subcarriers=3), 1, torch.Generator().manual_seed(0)
    )
    csi = measure(scene, torch.Generator().manual_seed(0))
    array = replace(scene.array, frequency=torch.tensor([frequency], dtype=torch.float64))
    with pytest.raises(ValueError, match=message):
        synchronise(csi, array, CoarseSettings())


def test_a_band_without_line_of_sight_is_refused():
    scene = free_space(BAND, snr_db=60.0, seed=0)
    csi = measure(scene, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="needs links with a trusted line of sight, got none"):
        synchronise(replace(csi, los_trusted=torch.zeros_like(csi.los)), scene.array, CoarseSettings())


def test_single_precision_rounds_the_subcarriers_and_little_else():
    scene = draw_scene(BAND, 1, torch.Generator().manual_seed(6))
    csi = measure(scene, torch.Generator().manual_seed(0))
    exact = synchronise(csi, scene.array, CoarseSettings())
    single = synchronise(csi.to(torch.float32), scene.array.to(torch.float32), CoarseSettings())
    assert single.tx_phase.dtype == torch.float32
    joined = main_part(scene.los)[:, : BAND.n_tx]
    turn = torch.exp(1j * (single.tx_phase - exact.tx_phase))[joined]
    assert (turn / turn[0] - 1).abs().max() < 0.01


def test_settings_refuse():
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        CoarseSettings(steps=-1)
