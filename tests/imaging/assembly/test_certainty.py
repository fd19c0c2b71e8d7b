"""Probabilities and covariances: closed forms, and what a residual above the noise takes from them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import modelled, posed

from unfolded_ogamp.imaging.assembly.certainty import (
    MOST_CERTAIN,
    certainty,
    mixed,
    noise_level,
    strongest,
    within,
)
from unfolded_ogamp.imaging.assembly.outcome import Outcome
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario

SCENARIO = Scenario(n_tx=9, n_rx=8, pixels=(8, 8), sparsity=0.05, snr_db=30.0)
RADIUS = torch.tensor([0.1, 0.3, 1.0, 2.5], dtype=torch.float64)


def covariances(std: list[float]) -> torch.Tensor:
    """Diagonal covariance [4, 1, D, D]."""
    return torch.diag(torch.tensor(std, dtype=torch.float64).square()).expand(4, 1, -1, -1)


def test_an_isotropic_error_is_shorter_than_a_radius_with_the_probability_of_rayleigh() -> None:
    for std in (0.2, 1.0):
        expected = 1 - torch.exp(-RADIUS.square() / (2 * std**2))
        torch.testing.assert_close(within(covariances([std, std]), RADIUS)[:, 0], expected)


def test_an_error_along_a_line_is_shorter_than_a_radius_with_the_probability_of_a_normal_variable() -> None:
    expected = torch.special.erf(RADIUS / 0.7 / math.sqrt(2))
    torch.testing.assert_close(within(covariances([0.7]), RADIUS)[:, 0], expected)
    torch.testing.assert_close(within(covariances([0.7, 0.0]), RADIUS)[:, 0], expected)


def test_other_errors_by_simulation() -> None:
    generator = torch.Generator().manual_seed(1)
    for std in ([0.4, 0.8], [0.3, 0.5, 0.6]):
        turn = torch.linalg.qr(torch.randn(len(std), len(std), generator=generator, dtype=torch.float64)).Q
        covariance = turn @ covariances(std) @ turn.mT
        length = (
            torch.randn(40000, len(std), generator=generator, dtype=torch.float64)
            @ torch.diag(torch.tensor(std, dtype=torch.float64))
        ).norm(dim=1)
        share = (length[:, None] < RADIUS).double().mean(0)
        torch.testing.assert_close(within(covariance, RADIUS)[:, 0], share, rtol=0, atol=0.05)  # a gamma variable


def test_an_unknown_position_is_nowhere_and_an_exact_one_is_there() -> None:
    assert within(covariances([math.inf, 1.0]), RADIUS).tolist() == [[0.0]] * 4
    assert within(covariances([0.0, 0.0]), RADIUS).tolist() == [[1.0]] * 4


def true_models(n_scenes: int = 3) -> tuple[Problem, Model]:
    *_, problem, truth = posed(SCENARIO, n_scenes, seed=1)
    return problem, modelled(truth, problem)


def outcome(model: Model, problem: Problem, consistent: list[bool], agreed: list[bool], support: float) -> Outcome:
    count = torch.full_like(model.cost, 7).long()
    share = torch.full_like(model.sources.position[..., 0], support)
    return Outcome.of(
        model, replace(problem, least_count=count - 5), torch.tensor(consistent), torch.tensor(agreed), count, share
    )


def test_uncertain_sources_have_the_covariance_of_a_mixture() -> None:
    problem, model = true_models(1)
    trapped = outcome(model, problem, [False], [False], support=0.5)
    small = 1e-4 * torch.eye(2, dtype=torch.float64).expand(1, 3, -1, -1)
    share = torch.tensor([[1.0, 0.7, 0.0]], dtype=torch.float64)
    found = mixed(small, share, model, problem, trapped)
    torch.testing.assert_close(found[0, 0], small[0, 0])
    # by simulation: one position in 0.3 is anywhere between the outermost pixels
    generator = torch.Generator().manual_seed(2)
    centre = problem.grid.centre[0]
    side = centre.amax(0) - centre.amin(0)
    anywhere = side * (torch.rand(100_000, 2, generator=generator, dtype=torch.float64) - 0.5)
    there = 1e-2 * torch.randn(100_000, 2, generator=generator, dtype=torch.float64)
    for index, right in ((1, 0.7), (2, 0.0)):
        elsewhere = anywhere + centre.mean(0) - model.sources.position[0, index]
        chosen = torch.rand(100_000, 1, generator=generator, dtype=torch.float64) < right
        error = torch.where(chosen, there, elsewhere)
        torch.testing.assert_close(
            found[0, index], error.T @ error / 1e5, rtol=0.03, atol=2e-3 * float(side.max()) ** 2
        )


def test_probabilities_fall_with_the_residual_and_the_support_of_other_starts() -> None:
    """Scene 0 is consistent, scene 1 has a misfit that all starts agree on, scene 2 is trapped."""
    problem, model = true_models()
    noise = torch.tensor([1.0, 0.5, 0.5]).double()
    # two scenes with half of the scattered power in the residual
    scattered = (model.channel.abs().square() * problem.link).sum((1, 2, 3))
    cost = torch.where(noise < 1, scattered, model.cost)
    residual = torch.where((noise < 1)[:, None, None, None], model.channel, model.residual)
    spoilt = replace(model, cost=cost, residual=residual)
    ended = outcome(spoilt, problem, [True, False, False], [False, True, False], support=0.4)
    found = certainty(spoilt, problem, ended)
    explained = MOST_CERTAIN * (1 - 1 / 4)  # the sum of channel and residual is twice the channel
    expected = torch.tensor([1.0, explained, 0.4 * explained]).double()
    torch.testing.assert_close(found, expected[:, None].expand_as(found))


def test_a_trapped_scene_lists_as_many_of_the_strongest_as_the_rank() -> None:
    problem, model = true_models()
    ended = outcome(model, problem, [True, False, False], [False, True, False], support=0.4)
    listed = strongest(model, problem, ended)
    assert listed.sum(1).tolist() == [*model.sources.used.sum(1)[:2].tolist(), 2]
    strength = model_selection.strength(model, problem)[2]
    assert set(listed[2].nonzero()[:, 0].tolist()) == set(strength.topk(2).indices.tolist())


@pytest.mark.parametrize("factor", [1.0, 30.0])
def test_the_noise_is_raised_where_the_residual_exceeds_it(factor: float) -> None:
    problem, model = true_models(1)
    quiet = replace(problem, noise_variance=problem.noise_variance / factor)
    ended = outcome(model, quiet, [factor == 1.0], [True], support=1.0)
    noise = noise_level(model, quiet, ended)
    expected = problem.noise_variance if factor == 1.0 else model_selection.noise_power(model, quiet)
    torch.testing.assert_close(noise, expected)
