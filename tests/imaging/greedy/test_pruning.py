"""Pruning removes one of two sources for one scatterer, and never one of two scatterers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import modelled, pose_scene, started

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.greedy import pruning
from unfolded_ogamp.imaging.likelihood import joint_step, model_selection
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources, remove
from unfolded_ogamp.operators.multistatic import MultistaticOperator
from unfolded_ogamp.physics import Scene, measure

SCENARIO = Scenario(n_tx=16, n_rx=16, pixels=(8, 8), sparsity=5 / 64, snr_db=25.0)
PLANE = replace(SCENARIO, n_tx=24, n_rx=24, pixels=(40, 40), pixel=0.04, sparsity=5 / 1600)
SPACE = replace(PLANE, pixels=(12, 12, 12), pixel=0.1, sparsity=5 / 1728, node_radius=(1.0, 1.5))


def measured(scene: Scene, seed: int) -> tuple[Problem, Sources]:
    *_, problem, truth = pose_scene(scene, measure(scene, torch.Generator().manual_seed(seed)), expected_count=1.0)
    return problem, truth


def drawn(seed: int) -> Scene:
    return draw(SCENARIO, 6, torch.Generator().manual_seed(seed))[0]


def converged(sources: Sources, problem: Problem) -> JointState:
    return more_steps(started(sources, problem), problem, 15)


def more_steps(state: JointState, problem: Problem, count: int) -> JointState:
    for _ in range(count):
        state = joint_step.step(state, problem, torch.ones_like(state.model.sources.used[:, 0]), 0.1)
    return state


def evidence_of(model: Model, problem: Problem) -> pruning.Evidence:
    return pruning.evidence(model, problem, pruning.exact_uncertainty(model, problem))


def odds_of(model: Model, problem: Problem) -> torch.Tensor:
    return pruning.log_odds(evidence_of(model, problem), model, problem)


def pruned_once(state: JointState, problem: Problem, sign: float = 1.0) -> JointState:
    """The state after pruning of sources with negative log-odds; of several close ones, the weakest goes first."""
    return pruning.prune(
        state,
        problem,
        lambda model, part, _: sign * odds_of(model, part),
        pruning.weakest_nearby(0.5),
        lambda fewer, part: more_steps(fewer, part, 10),
        keep_needed=False,
        rounds=1,
    )


def test_power_alone_is_that_of_the_column_over_the_noise() -> None:
    problem, truth = measured(drawn(1), 1)
    model = modelled(truth, problem)
    found = evidence_of(model, problem)
    for slot in range(5):
        one = MultistaticOperator.at(problem.array, truth.position[:, slot : slot + 1], problem.dictionary_scale)
        echo = one.forward(truth.reflectivity[:, None, slot : slot + 1]) * problem.link
        noise = model_selection.noise_power(model, problem).maximum(problem.noise_variance)
        expected = echo.abs().square().sum((1, 2, 3)) / noise
        torch.testing.assert_close(found.alone[:, slot], expected)
    # an amplitude alone in noise of variance s has the variance s / 2 over the energy of its column
    assert bool((found.beside_others <= 2 * found.alone).all())


def test_spread_is_the_largest_standard_deviation_of_a_position() -> None:
    """In wavelengths; that of the joint bound, which holds amplitudes."""
    scene = drawn(5)
    problem, truth = measured(scene, 5)
    spread = evidence_of(modelled(truth, problem), problem).spread
    bound = torch.stack([joint_bound(scene, index).position_std.norm(dim=1) for index in range(6)])
    torch.testing.assert_close(spread, bound / scene.array.wavelength[:, None], rtol=0.2, atol=0)
    torch.testing.assert_close(spread.mean(), (bound / scene.array.wavelength[:, None]).mean(), rtol=0.05, atol=0)


@pytest.mark.parametrize("scenario", [PLANE, SPACE], ids=["plane", "space"])
def test_log_odds_are_half_of_what_the_information_criterion_loses_without_a_source(scenario: Scenario) -> None:
    """Of a weak one, for which Wald's statistic is that loss; it prices the choice of a pixel half as much.

    They agree better than to one unknown: on average over scenes to half of its price.
    """
    scene = draw(scenario, 12, torch.Generator().manual_seed(4))[0]
    weak = scene.reflectivity.clone()
    weak[:, 0] *= 0.02
    problem, truth = measured(replace(scene, reflectivity=weak), 4)
    state = converged(truth, problem)
    odds = odds_of(state.model, problem)[:, 0]
    first = torch.zeros_like(truth.used).index_fill(1, torch.tensor([0]), True)
    without = converged(remove(state.model.sources, first), problem)
    loss = model_selection.criterion(without.model, problem) - model_selection.criterion(state.model, problem)
    expected = (loss + math.log(scene.grid.centre.shape[1])) / 2
    price = (2 * problem.n_samples).log() / 2
    assert float(((odds - expected) / price).mean().abs()) < 0.5


def test_of_two_sources_for_one_scatterer_one_is_pruned() -> None:
    scene = drawn(2)
    problem, truth = measured(scene, 2)
    aside = torch.tensor([0.02, 0.01]).double()
    position, reflectivity = truth.position.clone(), truth.reflectivity.clone()
    position[:, 0], reflectivity[:, 0] = position[:, 0] - aside, reflectivity[:, 0] / 2
    split = replace(truth, position=position, reflectivity=reflectivity)
    split = split.with_points(truth.position[:, :1] + aside, reflectivity[:, :1], truth.used[:, :1])
    state = converged(split, problem)
    doubt = odds_of(state.model, problem)
    assert bool((doubt[:, [0, -1]].amin(1) < 0).all())
    assert bool((doubt[:, 1:-1] > 0).all())
    pruned = pruned_once(state, problem).model
    assert pruned.sources.used.sum(1).tolist() == [5] * 6
    assert bool(model_selection.better(pruned, state.model, problem).all())
    distance = torch.cdist(scene.position, pruned.sources.position)
    distance = torch.where(pruned.sources.used[:, None], distance, torch.inf)
    assert float(distance.amin(2).max()) < 0.02 * float(problem.array.wavelength[0])


def test_two_scatterers_within_the_point_response_are_kept() -> None:
    scene = drawn(3)
    close = scene.position.clone()
    close[:, 1] = close[:, 0] + torch.tensor([0.2, 0.0]).double() * float(scene.array.wavelength[0])
    problem, truth = measured(replace(scene, position=close), 3)
    state = converged(truth, problem)
    doubt = odds_of(state.model, problem)
    assert bool((doubt > 0).all())
    assert pruned_once(state, problem) is state
    without = pruned_once(state, problem, sign=-1.0).model
    assert bool((without.sources.used.sum(1) < 5).all())
    assert not model_selection.better(without, state.model, problem).any()


def test_a_needed_source_is_restored_and_not_tried_again() -> None:
    """All sources have a negative score, and the criterion restores every one of them."""
    problem, truth = measured(drawn(5), 5)
    state, asked = converged(truth, problem), []

    def called_weak(_: Model, __: Problem, scenes: torch.Tensor) -> torch.Tensor:
        asked.append(len(scenes))
        return -torch.arange(1.0, 6.0).expand(len(scenes), -1)

    kept = pruning.prune(
        state, problem, called_weak, pruning.weakest, lambda fewer, part: more_steps(fewer, part, 3), keep_needed=True
    )
    assert torch.equal(kept.model.sources.used, state.model.sources.used)
    assert torch.equal(kept.model.cost, state.model.cost)
    assert asked == [6] * 6
