"""Scales of the priors by direct maximisation of the evidence: closed forms, told scales, and nodes as listed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import posed
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.selfcalibration.empirical_bayes import NEEDED, best_factor, empirical_bayes
from unfolded_ogamp.imaging.selfcalibration.priors import Scales, prior

SCENARIO = Scenario(n_tx=30, n_rx=30, pixels=(8, 8), sparsity=0.05)


def problem(**changed: Tensor) -> Problem:
    return replace(posed(SCENARIO, expected_count=1.0).problem, **changed)


def updated(around: Problem, true_std: float, noise: float, updates: int) -> Scales:
    """Scales after updates of a linear problem: every shift is measured directly, with Gaussian noise."""
    truth = posed(SCENARIO, expected_count=1.0).truth
    generator = torch.Generator().manual_seed(1)
    measured = [
        torch.randn(value.shape, generator=generator, dtype=torch.float64) * (true_std**2 + noise**2) ** 0.5
        for value in (truth.nodes.tx_shift, truth.nodes.rx_shift)
    ]
    scales = Scales.first(around)
    for _ in range(updates):
        shrink = (scales.shift.square() / (scales.shift.square() + noise**2))[..., None]
        tx, rx = (value * part for value, part in zip(measured, shrink.split([30, 30], dim=1), strict=True))
        sources = replace(truth, nodes=replace(truth.nodes, tx_shift=tx, rx_shift=rx))
        found = prior(sources, scales)
        covariance = torch.where(found.group == 1, 1 / (found.precision + noise**-2), 1).diag_embed()
        scales, _ = empirical_bayes(scales, found, covariance, (found.group == 1)[None], around)
    return scales


@pytest.mark.parametrize("true_std", [0.01, 0.002])
def test_one_update_finds_the_spread_of_the_nodes(true_std: float) -> None:
    """The maximum is s^2 = mean of the squares less the noise, here within the sampling error of 120 shifts."""
    found = updated(problem(), true_std=true_std, noise=true_std / 2, updates=1).shift
    assert abs(float(found[0, 0]) / true_std - 1) < 4 / (2 * 120) ** 0.5


def test_nodes_as_listed_have_the_least_scale() -> None:
    least = Scales.least(problem()).shift
    torch.testing.assert_close(updated(problem(), true_std=0.0, noise=0.005, updates=1).shift, least)


def test_told_scales_stay() -> None:
    nodes = torch.linspace(0.001, 0.06, 60, dtype=torch.float64)[None]
    told = problem(node_std=nodes, gain_std=torch.full_like(nodes, 0.3))
    found = updated(told, true_std=0.01, noise=0.005, updates=3)
    assert torch.equal(found.shift, nodes)
    assert torch.equal(found.level, torch.full_like(nodes, 0.3))


def test_the_factor_maximises_the_evidence_of_a_linear_model() -> None:
    """y = B b + noise, b ~ N(0, f^2 s^2): against the marginal likelihood of y by brute force, from two scales."""
    generator = torch.Generator().manual_seed(2)
    columns = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    noise, true = 0.7, 1.5
    observation = columns @ (true * torch.randn(6, generator=generator, dtype=torch.float64))
    observation = observation + noise**0.5 * torch.randn(40, generator=generator, dtype=torch.float64)

    def log_marginal(scale: float) -> float:
        covariance = noise * torch.eye(40).double() + scale**2 * columns @ columns.T
        return float(-(observation @ torch.linalg.solve(covariance, observation) + torch.logdet(covariance)) / 2)

    candidates = torch.logspace(-3, 1, 2000, dtype=torch.float64)
    best = float(candidates[torch.tensor([log_marginal(float(one)) for one in candidates]).argmax()])
    assert log_marginal(best) - log_marginal(0.0) > NEEDED
    for scale in (0.3, 4.0):
        precision = torch.full((6,), scale**-2, dtype=torch.float64)
        covariance = torch.linalg.inv(columns.T @ columns / noise + precision.diag())
        mode = covariance @ columns.T @ observation / noise
        found = scale * float(best_factor(covariance, mode, precision, 1e-3 / scale, 10 / scale))
        assert found == pytest.approx(best, rel=0.05)


def test_a_scale_that_gains_little_is_the_least_one() -> None:
    precision, covariance = torch.ones(4).double(), 0.5 * torch.eye(4).double()
    found = [float(best_factor(covariance, size * torch.ones(4).double(), precision, 0.01, 100.0)) for size in (0.5, 2)]
    assert found[0] == 0.01
    assert found[1] > 1
