"""Priors of all unknowns, and the evidence by brute force."""

from __future__ import annotations

import torch
from problems import posed

from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.selfcalibration.evidence import occam_factor
from unfolded_ogamp.imaging.selfcalibration.priors import Prior, Scales, prior, with_moments
from unfolded_ogamp.imaging.selfcalibration.step import Equations

SCENARIO = Scenario(n_tx=30, n_rx=30, pixels=(8, 8), sparsity=0.05)


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
