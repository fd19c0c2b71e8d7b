"""Priors and their scales: a fixed point in closed form, told scales, and the evidence by brute force."""

from __future__ import annotations

from dataclasses import replace

import torch
from problems import posed
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.selfcalibration.evidence import occam_factor
from unfolded_ogamp.imaging.selfcalibration.priors import Prior, Scales, empirical_bayes, prior, with_moments
from unfolded_ogamp.imaging.selfcalibration.step import Equations

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
        variance = torch.where(found.group == 1, 1 / (found.precision + noise**-2), 0)
        scales, _ = empirical_bayes(scales, found, variance, (found.group == 1)[None], around)
    return scales


def test_scales_converge_to_the_spread_of_the_nodes() -> None:
    """The fixed point is s^2 = mean of the squares less the noise, here within the sampling error of 120 shifts."""
    found = updated(problem(), true_std=0.01, noise=0.005, updates=200).shift
    assert abs(float(found[0, 0]) / 0.01 - 1) < 4 / (2 * 120) ** 0.5


def test_scales_fall_if_nodes_are_as_listed() -> None:
    assert float(updated(problem(), true_std=0.0, noise=0.005, updates=500).shift[0, 0]) < 0.003


def test_told_scales_stay() -> None:
    nodes = torch.linspace(0.001, 0.06, 60, dtype=torch.float64)[None]
    told = problem(node_std=nodes, gain_std=torch.full_like(nodes, 0.3))
    found = updated(told, true_std=0.01, noise=0.005, updates=3)
    assert torch.equal(found.shift, nodes)
    assert torch.equal(found.level, torch.full_like(nodes, 0.3))


def test_the_prior_counts_every_unknown_once() -> None:
    _, _, around, truth = posed(SCENARIO, expected_count=1.0)
    found = prior(with_moments(truth), Scales.first(around))
    n_sources = truth.used.shape[1]
    assert [int((found.group == group).sum()) for group in range(5)] == [4 * n_sources + 60, 120, 60, 24 * n_sources, 2]
    assert found.precision.shape == found.deviation.shape == (1, len(found.group))
    assert not found.deviation.any()


def test_the_cost_of_unknowns_with_priors_is_that_of_their_marginal_likelihood() -> None:
    """y = A a + B b + noise with b ~ N(0, 1 / Lambda): minus twice the log evidence over a flat prior of a."""
    generator = torch.Generator().manual_seed(2)
    a, b = (torch.randn(40, count, generator=generator, dtype=torch.float64) for count in (3, 5))
    precision = torch.linspace(0.5, 4.0, 5, dtype=torch.float64)
    noise = 0.7  # variance of the real samples; that of complex ones is twice as large
    observation = torch.randn(40, generator=generator, dtype=torch.float64) * 2
    columns = torch.cat([a, b], dim=1)
    weights = torch.cat([torch.zeros(3).double(), precision])
    matrix = columns.T @ columns + noise * weights.diag()
    best = torch.linalg.solve(matrix, columns.T @ observation)
    group = torch.tensor([0] * 3 + [1] * 5)
    posed_prior = Prior(weights[None], best[None] * (group > 0), group)
    equations = Equations(matrix[None], torch.zeros(1, 8).double(), posed_prior, torch.ones(1, 8, dtype=torch.bool))
    cost = (observation - columns @ best).square().sum() / noise
    found = cost + occam_factor(equations, torch.tensor([2 * noise], dtype=torch.float64))[0]
    # by the marginal covariance of y given a, then over a with a flat prior
    marginal = noise * torch.eye(40).double() + b @ precision.reciprocal().diag() @ b.T
    inner = a.T @ torch.linalg.solve(marginal, a)
    rest = observation - a @ torch.linalg.solve(inner, a.T @ torch.linalg.solve(marginal, observation))
    expected = rest @ torch.linalg.solve(marginal, rest) + torch.logdet(marginal) + torch.logdet(inner)
    constant = 40 * torch.tensor(noise).double().log() + torch.logdet(a.T @ a / noise)
    torch.testing.assert_close(found, expected - constant)
