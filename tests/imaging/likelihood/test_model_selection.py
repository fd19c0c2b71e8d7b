"""Fits of the right model leave noise alone; every direction that changes the CSI counts as an unknown."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import modelled, posed, started

from unfolded_ogamp.imaging.likelihood import joint_step, model_selection, normal_equations
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import pad

PLANE = Scenario(name="plane", n_tx=9, n_rx=8, pixels=(8, 8), sparsity=0.06, snr_db=30.0)
LINE_OF_SIGHT = replace(PLANE, name="line of sight", los=True)
SPACE = replace(PLANE, name="space", pixels=(4, 4, 4), node_radius=(1.0, 1.5))


def fitted(n_scenes: int) -> tuple[Problem, Model]:
    """Maximum likelihood fits from the truth."""
    *_, problem, truth = posed(PLANE, n_scenes, seed=1)
    state = started(truth, problem)
    for _ in range(10):
        state = joint_step.step(state, problem, torch.ones(n_scenes, dtype=torch.bool), largest_move=0.1)
    return problem, state.model


def test_residual_of_a_fit_is_noise_with_the_degrees_of_freedom_taken_off() -> None:
    """Mean and standard deviation over 400 scenes, each of 144 complex samples and 31 real unknowns."""
    problem, model = fitted(400)
    ratio = model_selection.noise_power(model, problem) / problem.noise_variance
    spread = (144 - 31 / 2) ** -0.5
    assert abs(float(ratio.mean()) - 1) < 4 * spread / 20
    excess = model_selection.excess(model, problem)
    assert float(excess.std()) == pytest.approx(spread * 144**0.5, rel=0.15)
    assert float((excess <= 1).double().mean()) == pytest.approx(0.5 * (1 + math.erf(1 / 2**0.5)), abs=0.06)
    assert float(model_selection.consistent(model, problem).double().mean()) > 0.98  # of a gamma distribution
    louder = replace(model, cost=model.cost * (1 + (1 + model_selection.MARGIN) * spread))
    assert float(model_selection.consistent(louder, problem).double().mean()) < 0.3


@pytest.mark.parametrize("scenario", [PLANE, LINE_OF_SIGHT, SPACE], ids=lambda s: s.name)
def test_unknowns_are_the_directions_that_change_the_csi(scenario: Scenario) -> None:
    """The rank of the normal matrix: phases that turn together change nothing."""
    *_, problem, truth = posed(scenario, 3, seed=2)
    model = modelled(pad(truth, truth.used.shape[1] + 2), problem)
    matrix = normal_equations.normal_matrix(model, problem)
    scale = matrix.diagonal(dim1=1, dim2=2).clamp(min=1e-300).rsqrt()
    scale = torch.where(normal_equations.free_unknowns(model.sources, model.sources.used[:, 0]), scale, 0)
    rank = (torch.linalg.eigvalsh(scale[:, :, None] * matrix * scale[:, None]) > 1e-10).sum(1)
    assert torch.equal(model_selection.unknowns(model, problem), rank.to(torch.float64))


def test_what_is_fitted_beside_the_sources_costs_as_much_as_they_do() -> None:
    problem, model = fitted(3)
    corrected = replace(model, sources=replace(model.sources, effective=model.sources.effective + 5))
    price = model_selection.criterion(corrected, problem) - model_selection.criterion(model, problem)
    torch.testing.assert_close(price, 5 * torch.full_like(price, 2 * 144).log())
    assert bool(model_selection.better(model, corrected, problem).all())
    broken = replace(model, cost=torch.full_like(model.cost, torch.nan))
    assert bool(model_selection.better(model, broken, problem).all())
    assert not model_selection.better(broken, model, problem).any()


def test_no_residual_is_consistent_with_noise_that_is_not_known() -> None:
    problem, model = fitted(3)
    assert not model_selection.consistent(
        model, replace(problem, noise_variance=torch.zeros_like(problem.noise_variance))
    ).any()


def test_many_unknowns_are_determined_near_the_rank_alone() -> None:
    """144 / 2 independent samples: a third are 24 unknowns, 4 for a source and 15 for the nodes; 0.8 are 57."""
    *_, problem, truth = posed(replace(PLANE, n_subcarriers=1), 1, seed=3)
    model = modelled(truth, problem)
    limits = {
        rank: int(model_selection.most_sources(model, replace(problem, least_count=torch.tensor([rank]))))
        for rank in (0, 4, 9)
    }
    assert limits == {0: 3, 4: 8, 9: 10}
    known = replace(problem, phases_known=torch.tensor([True]), least_count=torch.tensor([1]))
    assert int(model_selection.most_sources(model, known)) == 6  # a third, without nodes


def test_a_weak_scene_or_many_unknowns_are_not_decisive() -> None:
    for snr_db, expected in ((25.0, True), (0.0, False)):
        *_, problem, truth = posed(replace(PLANE, snr_db=snr_db), 4, seed=4)
        assert bool((model_selection.decisive(modelled(truth, problem), problem) == expected).all())
    *_, problem, truth = posed(replace(PLANE, n_tx=4, n_rx=4, n_subcarriers=1), 4, seed=4)  # 16 samples, 22 unknowns
    assert not model_selection.decisive(modelled(truth, problem), problem).any()


def test_below_the_known_noise_a_smaller_residual_gains_no_logarithm() -> None:
    problem, model = fitted(2)
    lower, lowest = (replace(model, cost=share * problem.n_samples * problem.noise_variance) for share in (0.5, 1e-6))
    gain = model_selection.criterion(lower, problem) - model_selection.criterion(lowest, problem)
    torch.testing.assert_close(gain, problem.n_samples, rtol=1e-5, atol=0)  # half of 2 C / sigma^2
    unknown = replace(problem, noise_variance=torch.zeros_like(problem.noise_variance))
    gain = model_selection.criterion(lower, unknown) - model_selection.criterion(lowest, unknown)
    torch.testing.assert_close(gain, 2 * problem.n_samples * math.log(0.5e6), rtol=1e-5, atol=0)
