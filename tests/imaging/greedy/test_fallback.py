"""The fallback leaves a consistent scene alone, continues a poor one, and starts anew only if that fits better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from problems import posed, started

from unfolded_ogamp.imaging.greedy import estimator, rounds
from unfolded_ogamp.imaging.greedy.estimator import fall_back
from unfolded_ogamp.imaging.greedy.persistence import Budget
from unfolded_ogamp.imaging.greedy.restarts import Searched
from unfolded_ogamp.imaging.greedy.rounds import GreedyState, align, all_running
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood.model_selection import consistent
from unfolded_ogamp.imaging.model import evaluate
from unfolded_ogamp.imaging.phases.refinement import NodePhases, initial_phases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import remove

SCENARIO = Scenario(n_tx=10, n_rx=10, pixels=(8, 8), sparsity=0.05, snr_db=25.0)
SETTINGS = GreedySettings()


def scenes() -> tuple[Problem, GreedyState, NodePhases]:
    """Two scenes at the truth, with phases aligned."""
    *_, problem, truth = posed(SCENARIO, 2, seed=3, expected_count=1.0)
    model = align(evaluate(truth, problem), problem, SETTINGS.step)
    return problem, all_running(model), initial_phases(problem)


def without_strongest(state: GreedyState, problem: Problem, scene: int) -> GreedyState:
    """The state without the strongest scatterer of one scene."""
    sources = state.model.sources
    lost = torch.zeros_like(sources.used)
    lost[scene, sources.reflectivity[scene].abs().argmax()] = True
    return replace(state, joint=started(remove(sources, lost), problem))


def never(*_: object) -> GreedyState:
    raise AssertionError("called without need")


def unchanged(state: GreedyState, *_: object) -> GreedyState:
    return state


def returning(result: Searched) -> Callable[..., Searched]:
    return lambda *_: result


def test_consistent_scenes_are_returned_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, truth, given = scenes()
    assert consistent(truth.model, problem).all()
    monkeypatch.setattr(rounds, "resume", never)
    assert fall_back(Searched.of(truth, problem), problem, given, SETTINGS, Budget()).best is truth


def test_a_scene_with_a_missing_scatterer_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, truth, given = scenes()
    poor = without_strongest(truth, problem, scene=1)
    assert consistent(poor.model, problem).tolist() == [True, False]
    monkeypatch.setattr(estimator, "search", never)
    found = fall_back(Searched.of(poor, problem), problem, given, SETTINGS, Budget()).best
    assert consistent(found.model, problem).all()
    assert found.model.cost[0] == truth.model.cost[0]


@pytest.mark.parametrize("anew_is_better", [True, False])
def test_a_new_start_is_kept_only_if_it_fits_better(monkeypatch: pytest.MonkeyPatch, anew_is_better: bool) -> None:
    problem, truth, given = scenes()
    poor = without_strongest(truth, problem, scene=1)
    poorer = without_strongest(poor, problem, scene=1)
    state, anew = (poor, truth) if anew_is_better else (poorer, without_strongest(poorer, problem, scene=1))
    monkeypatch.setattr(rounds, "resume", unchanged)
    monkeypatch.setattr(
        estimator, "search", returning(Searched.of(anew[torch.tensor([1])], problem[torch.tensor([1])]))
    )
    found = fall_back(Searched.of(state, problem), problem, given, SETTINGS, Budget()).best
    torch.testing.assert_close(found.model.cost, (truth if anew_is_better else state).model.cost)
