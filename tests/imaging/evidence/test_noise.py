"""The noise variance from the CSI alone: within its stated error where it is known, and unknown where CSI hides it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import posed

from unfolded_ogamp.imaging.evidence.noise import (
    estimate_noise,
    from_singular_values,
    from_subcarriers,
    with_noise_variance,
)
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario

WIDE = Scenario(n_tx=12, n_rx=10, pixels=(12, 12), sparsity=0.06, snr_db=20.0, phase_model="uniform")
SCENES = 40


def unknown(scenario: Scenario, n_scenes: int = SCENES, seed: int = 1) -> tuple[Problem, torch.Tensor]:
    """The problem without its noise variance, and that variance."""
    problem = posed(scenario, n_scenes, seed, expected_count=1.0).problem
    return replace(problem, noise_variance=torch.zeros_like(problem.noise_variance)), problem.noise_variance


def band(n_subcarriers: int, spacing: float = 120e3) -> Scenario:
    return replace(WIDE, n_subcarriers=n_subcarriers, subcarrier_spacing=spacing)


@pytest.mark.parametrize("n_subcarriers", [2, 4, 9])
@pytest.mark.parametrize("snr_db", [0.0, 30.0])
def test_subcarriers_show_the_noise_within_the_stated_error(n_subcarriers: int, snr_db: float) -> None:
    problem, true = unknown(replace(band(n_subcarriers), snr_db=snr_db))
    found = from_subcarriers(problem)
    assert bool(found.known.all())
    deviation = (found.variance - true) / found.std
    assert float(deviation.square().mean().sqrt()) < 1.3
    assert float(deviation.mean().abs()) < 4 / math.sqrt(SCENES)
    # no better than n_links (K - 1) samples of pure noise, and not far from it
    best = (120 * (n_subcarriers - 1)) ** -0.5
    assert bool(((found.std / found.variance > 0.9 * best) & (found.std / found.variance < 3 * best)).all())


def test_neither_node_phases_nor_units_matter() -> None:
    problem, _ = unknown(band(4))
    found = from_subcarriers(problem)
    generator = torch.Generator().manual_seed(3)
    turn = torch.polar(
        torch.ones(1, 12, 10, 1, dtype=torch.float64),
        torch.rand(1, 12, 1, 1, generator=generator) * 6.0
        + 6.0 * torch.rand(1, 1, 10, 1, generator=generator, dtype=torch.float64),
    )
    for scale in (1e-9, 1e9):
        again = from_subcarriers(replace(problem, csi=scale * problem.csi * turn))
        torch.testing.assert_close(again.variance / scale**2, found.variance)
        torch.testing.assert_close(again.std / scale**2, found.std)


def test_a_band_that_resolves_the_paths_tells_less() -> None:
    """Over a wide band the channel is as rough as the noise: the error grows until nothing is known."""
    errors = []
    for spacing in (120e3, 10e6, 100e6):
        problem, true = unknown(band(4, spacing))
        found = from_subcarriers(problem)
        errors.append(float((found.std / true).median()))
        deviation = ((found.variance - true) / found.std)[found.known]
        assert bool((deviation.abs() < 4).all())
    assert errors[0] < errors[1] < errors[2]
    assert int(from_subcarriers(problem).known.sum()) <= 2


def test_singular_values_show_the_noise_if_scatterers_are_few() -> None:
    few = replace(WIDE, n_tx=16, n_rx=14, sparsity=3 / 144, n_subcarriers=1)
    problem, true = unknown(few, 200)
    found = from_singular_values(problem)
    assert int(found.known.sum()) >= 190
    deviation = ((found.variance - true) / found.std)[found.known]
    assert float(deviation.square().mean().sqrt()) < 1.3
    assert float(deviation.mean().abs()) < 0.5


@pytest.mark.parametrize("n_scatterers", [6, 12, 24])
def test_one_subcarrier_of_many_scatterers_does_not_show_the_noise(n_scatterers: int) -> None:
    """Very many echoes are as random as noise; they must not pass for it."""
    many = replace(WIDE, sparsity=n_scatterers / 144, n_subcarriers=1, snr_db=30.0)
    problem, _ = unknown(many, 100)
    known = estimate_noise(problem).known
    assert int(known.sum()) <= 3
    after = with_noise_variance(problem)
    assert not (after.noise_variance[~known] != 0).any()
    assert not (after.noise_std[~known] != 0).any()


def test_a_given_noise_variance_is_kept() -> None:
    problem, true = unknown(band(4), 4)
    given = torch.tensor([True, False, True, False])
    mixed = with_noise_variance(replace(problem, noise_variance=torch.where(given, 3 * true, 0)))
    torch.testing.assert_close(mixed.noise_variance[given], 3 * true[given])
    assert mixed.noise_std[given].tolist() == [0.0, 0.0]
    assert bool((mixed.noise_std[~given] > 0).all())
    assert bool((mixed.noise_variance[~given] < 2 * true[~given]).all())


def test_missing_links_and_lines_of_sight_have_no_singular_values() -> None:
    few = replace(WIDE, sparsity=2 / 144, n_subcarriers=1)
    for spoilt in (replace(few, missing_links=0.2), replace(few, los=True)):
        assert not from_singular_values(unknown(spoilt, 4)[0]).known.any()
    # subcarriers show the noise there, too
    for scenario in (replace(band(4), missing_links=0.3), replace(band(4), los=True)):
        problem, true = unknown(scenario)
        found = from_subcarriers(problem)
        assert float(((found.variance - true) / found.std).square().mean().sqrt()) < 1.4
