"""Starts from other node phases for the scenes that are not settled yet, as a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unfolded_ogamp.estimators import autofocus, greedy, greedy_starts, joint, selection
from unfolded_ogamp.estimators.atlas import Atlas
from unfolded_ogamp.estimators.greedy import GreedyState
from unfolded_ogamp.estimators.greedy_settings import GreedySettings
from unfolded_ogamp.estimators.greedy_starts import apart, better, near_phases, random_phases
from unfolded_ogamp.estimators.problem import Problem
from unfolded_ogamp.estimators.synchronisation import NodePhases
from unfolded_ogamp.physics import isolated_nodes
from unfolded_ogamp.records import choose, place

Run = Callable[[Problem, Atlas, NodePhases], GreedyState]


def search(
    problem: Problem, atlas: Atlas, given: NodePhases, run: Run, settings: GreedySettings, starts: int
) -> GreedyState:
    """The best of up to `starts` starts of every scene; a scene whose residual is what the noise allows is settled.

    The first start is from the node phases that are given, the second from those in focus; then by turns near the best
    one so far, and from uniform phases that autofocus improves. Where the noise is not known, or the model does not
    fit, a scene is settled when two independent starts end in the same place.
    """
    best = run(problem, atlas, given)
    # where every node has a trusted line of sight its phase is told, and another start finds the same
    agreed = ~isolated_nodes(problem.trusted[..., 0] > 0).any(1)
    generator = torch.Generator().manual_seed(settings.seed)
    for start in range(1, starts):
        scenes = (~agreed & ~settled(best, problem, settings)).nonzero()[:, 0]
        if len(scenes) == 0:
            break
        part = problem[scenes]
        independent = torch.ones_like(agreed)
        if start % 2 == 0:
            phases = near_phases(best.joint.sources, settings.jitter, generator)[scenes]
            independent = torch.zeros_like(agreed)
        else:
            begin = given[scenes] if start == 1 else random_phases(part, generator)
            phases = focused_phases(part, begin, settings)
            if start == 1:
                independent[scenes] = apart(begin, phases, part.link[..., 0] > 0) > settings.jitter
        best, same = better(best, run(part, atlas[scenes], phases), scenes, problem)
        # a start near the best one ends where that did, trap or not
        agreed = agreed | (same & independent)
    return best


def settled(state: GreedyState, problem: Problem, settings: GreedySettings) -> Tensor:
    """Scenes whose residual is what the noise allows, bool [B]; none where the noise is not known."""
    return selection.excess(state.joint, problem) <= settings.margin


def hand_over(
    state: GreedyState, problem: Problem, given: NodePhases, settings: GreedySettings
) -> tuple[GreedyState, Problem]:
    """Where the noise is not all that is left, what the greedy estimator makes of it: from here, or else from nothing.

    It sees targets with size, too; of the two ends the one is taken that the information criterion prefers.

    Args:
        state: what was found.
        problem: on all subcarriers, in double precision.
        given: node phases [B, n, 1] that are known to begin with.
        settings: of the greedy estimator.

    Returns:
        The state, and the problem with the line of sight as it turned out to be.
    """
    state = GreedyState(joint.init(state.joint.sources, problem), state.running, state.sized)
    scenes = (~settled(state, problem, settings)).nonzero()[:, 0]
    if len(scenes) == 0:
        return state, problem
    part = problem[scenes]
    state = greedy.place_sources(
        greedy.resume(state[scenes], part, Atlas.of(part, settings.spacing), settings), scenes, state
    )
    scenes = (~settled(state, problem, settings)).nonzero()[:, 0]
    if len(scenes) == 0:
        return state, problem
    part = problem[scenes]
    anew, told = greedy_starts.search(part, given[scenes], settings)
    resumed, anew = greedy.as_many_slots(state[scenes], anew)
    better_anew = criterion(anew, told) < criterion(resumed, part)
    state = greedy.place_sources(choose(better_anew, anew, resumed), scenes, state)
    return state, place(choose(better_anew, told, part), scenes, problem)


def criterion(state: GreedyState, problem: Problem) -> Tensor:
    """Bayesian information criterion [B] of everything that is fitted."""
    return selection.criterion(state.joint, greedy.seen(state, problem))


@torch.no_grad()
def focused_phases(problem: Problem, given: NodePhases, settings: GreedySettings) -> NodePhases:
    """The node phases that autofocus makes of those that are given."""
    return autofocus.focus(problem, given, Atlas.of(problem, settings.autofocus.spacing), settings.autofocus)[0]
