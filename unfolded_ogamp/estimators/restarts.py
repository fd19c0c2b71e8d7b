"""Starts from other node phases for the scenes that are not settled yet, as a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unfolded_ogamp.estimators import autofocus, greedy_starts
from unfolded_ogamp.estimators.atlas import Atlas
from unfolded_ogamp.estimators.greedy import GreedySettings
from unfolded_ogamp.estimators.greedy_starts import better
from unfolded_ogamp.estimators.joint import JointState
from unfolded_ogamp.estimators.problem import Problem
from unfolded_ogamp.estimators.synchronisation import NodePhases

Run = Callable[[Problem, Atlas, NodePhases], JointState]


def search(problem: Problem, atlas: Atlas, run: Run, settings: GreedySettings, starts: int) -> JointState:
    """The best of up to `starts` starts of every scene; a scene whose residual is what the noise allows is settled.

    The first start is from the node phases that are given, the second from those in focus; then by turns near the best
    one so far, and from uniform phases that autofocus improves. Where the noise is not known, or the model does not
    fit, a scene is settled when two independent starts end in the same place.
    """
    given = greedy_starts.first_phases(problem)
    best = run(problem, atlas, given)
    agreed = torch.zeros_like(best.cost, dtype=torch.bool)
    generator = torch.Generator().manual_seed(settings.seed)
    coarse: Atlas | None = None
    for start in range(1, starts):
        scenes = (~agreed & ~settled(best, problem, settings)).nonzero()[:, 0]
        if len(scenes) == 0:
            break
        part = problem[scenes]
        independent = torch.ones_like(agreed)
        if start % 2 == 0:
            phases = greedy_starts.near_phases(best.sources, settings.jitter, generator)[scenes]
            independent = torch.zeros_like(agreed)
        else:
            if coarse is None:
                coarse = Atlas.of(problem, settings.autofocus.spacing)
            phases = given[scenes] if start == 1 else greedy_starts.random_phases(part, generator)
            focused, _ = autofocus.focus(part, phases, coarse[scenes], settings.autofocus)
            if start == 1:
                independent[scenes] = (
                    greedy_starts.apart(given[scenes], focused, part.link[..., 0] > 0) > settings.jitter
                )
            phases = focused
        best, same = better(best, run(part, atlas[scenes], phases), scenes, problem)
        agreed = agreed | (same & independent)
    return best


def settled(state: JointState, problem: Problem, settings: GreedySettings) -> Tensor:
    """Scenes whose residual is what the noise allows, bool [B]; none where the noise is not known."""
    return greedy_starts.excess(state, problem) <= settings.margin


@torch.no_grad()
def focused_phases(problem: Problem, settings: GreedySettings) -> tuple[NodePhases, NodePhases]:
    """The node phases that are given, and those that autofocus makes of them."""
    given = greedy_starts.first_phases(problem)
    coarse = Atlas.of(problem, settings.autofocus.spacing)
    return given, autofocus.focus(problem, given, coarse, settings.autofocus)[0]
