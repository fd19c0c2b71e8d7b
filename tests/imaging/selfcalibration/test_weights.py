"""Robust weights of links: mixtures of known shares and variances, and the false alarms of the matched filter."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import modelled, posed
from torch import Tensor

from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.selfcalibration import detection, weights
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings

SCENARIO = Scenario(n_tx=24, n_rx=25, pixels=(8, 8), sparsity=0.05)


def residuals(share: float, factor: float, n_subcarriers: int = 2) -> tuple[Model, Problem, Tensor]:
    """A model whose residual is noise, of `factor` times the variance on a share of the links; and these links."""
    scenario = replace(SCENARIO, n_subcarriers=n_subcarriers)
    *_, problem, truth = posed(scenario, expected_count=1.0)
    generator = torch.Generator().manual_seed(1)
    bad = torch.rand(problem.link.shape[:3], generator=generator) < share
    noise = torch.randn(*problem.csi.shape, 2, generator=generator, dtype=torch.float64) / math.sqrt(2)
    level = problem.noise_variance.sqrt() * torch.where(bad, math.sqrt(factor), 1.0)[..., None]
    residual = torch.view_as_complex(noise) * level
    model = modelled(truth, problem)
    return replace(model, residual=residual, cost=residual.abs().square().sum((1, 2, 3))), problem, bad


@pytest.mark.parametrize("n_subcarriers", [1, 3])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.35])
def test_a_mixture_finds_share_and_variances(share: float, n_subcarriers: int) -> None:
    model, problem, bad = residuals(share, factor=100.0, n_subcarriers=n_subcarriers)
    link = problem.link[..., 0] > 0
    found = weights.mixture(model, problem, link, torch.zeros_like(model.cost))
    count = float(bad.sum())
    assert abs(float(found.share) * 600 - count) < 0.06 * 600
    assert abs(float(found.good / problem.noise_variance) - 1) < 0.15
    assert abs(float(found.bad / problem.noise_variance) / 100 - 1) < 6 / math.sqrt(count * n_subcarriers)
    weight = found.weight[..., 0]
    assert float(weight[~bad].mean()) > 0.97
    assert float(weight[bad].median()) < 0.05  # a few outliers are small by chance


def test_without_outliers_all_links_count() -> None:
    model, problem, _ = residuals(0.0, factor=1.0)
    found = weights.mixture(model, problem, problem.link[..., 0] > 0, torch.zeros_like(model.cost))
    assert float(found.weight.mean()) > 0.98


def test_the_likelihood_of_a_mixture_is_the_sum_over_its_links() -> None:
    model, problem, _ = residuals(0.2, factor=50.0)
    found = weights.mixture(model, problem, problem.link[..., 0] > 0, torch.zeros_like(model.cost))
    share, good, bad = (float(value) for value in (found.share, found.good, found.bad))
    expected = 0.0
    for link in model.residual[0].flatten(0, 1):
        power = float(link.abs().square().sum())
        of_good, of_bad = (math.exp(-power / variance) / variance ** len(link) for variance in (good, bad))
        expected += math.log((1 - share) * of_good + share * of_bad)
    assert float(found.log_likelihood) == pytest.approx(expected, rel=1e-9)


def test_student_weights_fall_with_the_residual_and_do_not_depend_on_missing_links() -> None:
    model, problem, bad = residuals(0.2, factor=100.0)
    link = problem.link[..., 0] > 0
    weight = weights.student(model, problem, link)[..., 0]
    assert float(weight[bad].mean()) < 0.15 * float(weight[~bad].mean())
    power = model.residual.abs().square().sum(-1)
    order = power.flatten().argsort()
    assert bool((weight.flatten()[order].diff() <= 1e-12).all())
    fewer = link & (torch.arange(25) < 20)
    assert not weights.student(model, problem, fewer)[..., 20:, 0].any()


@pytest.mark.parametrize("factor", [1.0, 100.0])
def test_false_alarms_do_not_depend_on_the_variances_of_the_links(factor: float) -> None:
    """At a threshold that one position exceeds with probability 1 / 4 the share of the positions is about that."""
    model, problem, _ = residuals(0.3, factor)
    grid = detection.search_grid(model.sources, problem, 0.25)
    weighted = model.residual * problem.link
    power = weighted.abs().square()
    image = grid.back_project(weighted)
    ratio = (image.abs().square() * grid.energy / grid.weighted_energy(power))[0]
    assert float((ratio > math.log(4)).double().mean()) == pytest.approx(0.25, abs=0.08)


def test_noise_of_any_links_adds_no_source() -> None:
    settings = CalibrationSettings()
    for factor in (1.0, 100.0):
        model, problem, _ = residuals(0.3, factor)
        grid = detection.search_grid(model.sources, problem, settings.spacing)
        grown = detection.add(model, problem, grid, settings, most=5, apart=0.0)
        assert int(grown.used.sum()) == int(model.sources.used.sum())


@pytest.mark.parametrize(("amplitude", "stand_out"), [(3.0, True), (0.1, False)])
def test_outliers_with_more_signal_than_interference_are_misfit(amplitude: float, stand_out: bool) -> None:
    """A tenth of the links has a low weight; their residual is `amplitude` times their channel."""
    *_, problem, truth = posed(SCENARIO, expected_count=1.0)
    weight = torch.ones_like(problem.link)
    weight[:, :, : problem.link.shape[2] // 10] = 0.01
    low = problem.weighted(weight)
    model = modelled(truth, low)
    odd = replace(model, residual=torch.where(weight < 1, amplitude * model.channel, model.residual))
    assert bool(weights.outliers_stand_out(odd, low)) == stand_out
    assert bool(weights.outliers_stand_out(modelled(truth, problem), problem))


def test_the_slope_is_the_derivative_of_the_weight() -> None:
    """With share and variances held, by a finite difference of the posterior probability of an outlier."""
    model, problem, _ = residuals(0.2, factor=30.0)
    link = problem.link[..., 0] > 0
    found = weights.mixture(model, problem, link, torch.zeros_like(model.cost))
    count, power = problem.csi.shape[-1], weights.link_power(model, problem)

    def weight(value: Tensor) -> Tensor:
        odds = (found.share / (1 - found.share)) * (found.good / found.bad) ** count
        odds = odds * ((1 / found.good - 1 / found.bad) * value).exp()
        outlier = odds / (1 + odds)
        return 1 - outlier + outlier * found.good / found.bad

    small = 1e-4 * problem.noise_variance
    slope = (weight(power + small) - weight(power - small)) / (2 * small)
    torch.testing.assert_close(found.slope, slope, rtol=1e-3, atol=1e-4 * float(slope.abs().max()))
