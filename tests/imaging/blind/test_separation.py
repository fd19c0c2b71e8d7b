"""Separation by modulus finds few scatterers at unknown node phases, in a region of many wavelengths."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import Posed, posed
from torch import Tensor

from unfolded_ogamp.imaging.blind import amplitudes, separation, windows
from unfolded_ogamp.imaging.blind.amplitudes import Factors, Separation
from unfolded_ogamp.imaging.blind.separation import SeparationSettings
from unfolded_ogamp.imaging.blind.windows import WindowSettings
from unfolded_ogamp.imaging.evidence.rank import with_least_count
from unfolded_ogamp.imaging.evidence.subcarriers import coherent
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import distances, node_wave

HALL = Scenario(
    name="hall",
    n_tx=12,
    n_rx=12,
    pixels=(25, 25),
    sparsity=3 / 625,
    carrier_frequency=3.5e9,
    n_subcarriers=1,
    snr_db=20.0,
    phase_model="uniform",
)
SILENT = replace(HALL, name="silent", snr_db=200.0)
SETTINGS = SeparationSettings()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def error(position: Tensor, scene: Posed) -> float:
    """Largest distance from a scatterer to the nearest estimate, or from an estimate to the nearest one, in m."""
    distance = distances(position, scene.truth.position[0])
    return float(torch.maximum(distance.amin(0).max(), distance.amin(1).max()))


def true_separation(scene: Posed) -> tuple[Factors, Separation]:
    """The factors of the links' matrix, and the mixing matrix and positions that made it."""
    problem, truth = scene.problem, scene.truth
    count = truth.used.shape[1]
    factors = Factors.of(problem.csi[..., 0], count, problem)
    array = problem.array
    turned = node_wave(array, distances(array.tx, truth.position), array.tx_gain)[:, 0]
    turned = turned * torch.exp(-1j * truth.tx_phase)[..., None]
    mixing = torch.linalg.lstsq(factors.tx, turned).solution
    rx = Separation(mixing, truth.position, torch.zeros(1, count)).columns(factors)[1]
    loss = amplitudes.losses(array, truth.position)[1]
    return factors, Separation(mixing, truth.position, (rx.abs() / loss).mean(1).log())


def test_without_noise_the_truth_fits_and_random_starts_reach_it() -> None:
    scene = posed(SILENT, seed=3, expected_count=1.0)
    factors, truth = true_separation(scene)
    unit = torch.ones_like(truth.strength)
    assert float(amplitudes.weighted(truth, factors, unit, unit).cost) < 1e-12
    fit = amplitudes.random_start(factors, 32, generator())
    for _ in range(25):
        fit = amplitudes.step(fit, factors)
    found = error(fit.separation.position[fit.cost.argmin()][None][0], scene)
    assert found < 1e-4


def test_jacobian_is_the_derivative_of_the_residual() -> None:
    scene = posed(HALL, seed=4, expected_count=1.0)
    factors = Factors.of(scene.problem.csi[..., 0], 3, scene.problem)
    fit = amplitudes.random_start(factors, 2, generator())
    slope = amplitudes.jacobian(fit, factors)
    for unknown in range(slope.shape[2]):
        change = torch.zeros_like(slope[:, 0])
        change[:, unknown] = 1e-6
        ahead, behind = (
            amplitudes.residual(
                amplitudes.move(fit.separation, sign * change, factors), factors, fit.tx_weight, fit.rx_weight
            )
            for sign in (1, -1)
        )
        torch.testing.assert_close((ahead - behind) / 2e-6, slope[:, :, unknown], rtol=1e-4, atol=1e-6)


def test_node_phases_and_the_wavelength_do_not_change_the_separation() -> None:
    scene = posed(HALL, seed=5, expected_count=1.0)
    problem = scene.problem
    turn = torch.exp(2j * math.pi * torch.rand(24, generator=generator(1), dtype=torch.float64))
    csi = problem.csi * turn[None, :12, None, None] * turn[None, None, 12:, None]
    turned = replace(problem, csi=csi, array=replace(problem.array, frequency=problem.array.frequency / 7))
    fits = []
    for one in (problem, turned):
        factors = Factors.of(one.csi[..., 0], 3, one)
        fit = separation.separate(factors, one, generator(), SETTINGS)
        fits.append(fit.separation.position[0])
    assert float(distances(fits[0], fits[1]).amin(1).max()) < 1e-3


def test_standard_deviations_are_those_of_the_errors() -> None:
    """Mean squared error over its covariance, of 25 scenes of three scatterers in two dimensions: 2."""
    total = torch.zeros(0, dtype=torch.float64)
    for seed in range(25):
        scene = posed(HALL, seed=seed, expected_count=1.0)
        factors, truth = true_separation(scene)
        fit = amplitudes.by_noise(truth, factors, scene.problem.noise_variance)
        for _ in range(10):
            fit = amplitudes.step(fit, factors)
        far = (fit.separation.position - scene.truth.position)[0, ..., None]
        spread = amplitudes.covariance(fit, factors)[0]
        total = torch.cat([total, (far * torch.linalg.solve(spread, far)).sum((1, 2))])
    assert 1.4 < float(total.mean()) < 2.6


def test_the_phases_of_one_scatterer_place_the_others() -> None:
    """Without noise, the best point of the second window is the true one, at the true node phases."""
    scene = posed(SILENT, seed=6, expected_count=1.0)
    factors, truth = true_separation(scene)
    wavenumber = scene.problem.array.wavenumber[0, 0]
    fit = amplitudes.by_noise(truth, factors, torch.full((1,), 1e-4, dtype=torch.float64))
    placed = windows.place(fit, factors, wavenumber, WindowSettings())
    best = placed[placed.loss.argsort()[:1]]
    torch.testing.assert_close(best.position, scene.truth.position, rtol=0, atol=1e-9)
    turn = (best.tx_phase[:, :, None] - best.rx_phase[:, None]) - (
        scene.truth.tx_phase[:, :, None] - scene.truth.rx_phase[:, None]
    )
    assert float(torch.exp(1j * turn).mean().abs()) > 1 - 1e-6


@pytest.mark.parametrize(
    "scenario",
    [
        HALL,
        replace(HALL, name="few nodes", n_tx=8, n_rx=8),
        replace(HALL, name="missing links", missing_links=0.1),
        replace(HALL, name="two subcarriers", n_subcarriers=2, subcarrier_spacing=4e7),
        replace(HALL, name="space", pixels=(9, 9, 9), sparsity=3 / 729, node_radius=(1.0, 1.5)),
    ],
    ids=lambda one: one.name,
)
def test_scatterers_are_found_within_three_proposals(scenario: Scenario) -> None:
    scene = posed(scenario, seed=1, expected_count=1.0)
    problem = with_least_count(coherent(scene.problem))
    for _, model in zip(range(3), separation.proposals(problem, 3, generator(), SETTINGS), strict=False):
        if bool(model_selection.consistent(model[:1], problem)):
            assert error(model.sources.position[0], scene) < 0.1 * float(problem.array.wavelength)
            return
    pytest.fail("no proposal is consistent with the noise")


def test_it_ends_where_amplitudes_do_not_determine_positions() -> None:
    problem = posed(HALL, seed=1, expected_count=1.0).problem
    assert next(separation.proposals(problem, 1, generator(), SETTINGS), None) is None
    assert next(separation.proposals(problem, 10, generator(), replace(SETTINGS, most=10)), None) is None
    assert next(separation.proposals(problem, 5, generator(), replace(SETTINGS, most=4)), None) is None
    short = replace(SETTINGS, batches=2, starts=4, placements=2)
    assert len(list(separation.proposals(problem, 2, generator(), short))) == 2
    link = problem.link.clone()
    link[:, 0, 2:] = 0
    missing = replace(problem, link=link, csi=problem.csi * link)
    assert next(separation.proposals(missing, 3, generator(), SETTINGS), None) is None


def test_wrong_gains_widen_the_windows_and_scatterers_are_found_nevertheless() -> None:
    """Gains that are off by 1 dB (standard deviation) move the amplitude fit further than noise would."""
    found = []
    for seed in range(5):
        scene = posed(HALL, seed=seed, expected_count=1.0)
        level = 10 ** (torch.randn(2, 1, 12, generator=generator(seed), dtype=torch.float64) / 20)
        wrong = replace(scene.problem, array=replace(scene.problem.array, tx_gain=level[0], rx_gain=level[1]))
        model = next(separation.proposals(wrong, 3, generator(), SETTINGS))
        found.append(error(model.sources.position[0], scene) < 0.1 * float(wrong.array.wavelength))
    assert sum(found) >= 4, found
