"""The greedy estimator: starts from several node phases; the best start gives the estimate."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from unfolded_ogamp.imaging.assembly import assemble
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.evidence.noise import with_noise_variance
from unfolded_ogamp.imaging.evidence.rank import with_least_count
from unfolded_ogamp.imaging.evidence.subcarriers import coherent
from unfolded_ogamp.imaging.greedy import restarts, rounds
from unfolded_ogamp.imaging.greedy.conclusion import conclude
from unfolded_ogamp.imaging.greedy.persistence import Budget, go_on, separated_first
from unfolded_ogamp.imaging.greedy.restarts import Searched
from unfolded_ogamp.imaging.greedy.rounds import (
    GreedyState,
    init,
    place_scenes,
)
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.greedy.start_phases import phase_difference
from unfolded_ogamp.imaging.likelihood.model_selection import criterion, unknowns
from unfolded_ogamp.imaging.phases import autofocus
from unfolded_ogamp.imaging.phases.refinement import NodePhases, initial_phases
from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.records import choose

SCENES_AT_ONCE = 8  # more do not fit a processor's cache, and take longer per scene


@dataclass(frozen=True)
class GreedyEstimator:
    """Greedy estimation with restarts, always in double precision.

    A scene ends when its fit is confirmed, when independent starts agree, or when its budget is spent.
    """

    settings: GreedySettings = field(default_factory=GreedySettings)
    budget: Budget = field(default_factory=Budget)

    @torch.no_grad()
    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes.

        Raises:
            ValueError: if shapes do not match.

        Warns:
            MismatchWarning: if the model does not explain the CSI.
        """
        parts = [slice(first, first + SCENES_AT_ONCE) for first in range(0, len(csi.value), SCENES_AT_ONCE)]
        return assemble.batched([self._estimate(csi[part], array[part], grid[part]) for part in parts])

    def _estimate(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        dtype, double = grid.centre.dtype, torch.float64
        csi, array, grid = csi.to(dtype=double), array.to(dtype=double), grid.to(dtype=double)
        full, problem = posed(csi, array, grid)
        found = search(problem, initial_phases(full), self.settings, self.budget)
        return conclude(found, problem, full, self.settings, dtype)


def posed(csi: Csi, array: NodeArray, grid: PixelGrid) -> tuple[Problem, Problem]:
    """The problem with all subcarriers, and with coherent ones averaged and the rank of its links.

    Raises:
        ValueError: if shapes do not match.
    """
    # an expected count of one: it sets the units only, which lets the search grid use single precision
    full = with_noise_variance(pose(csi, array, grid, torch.ones_like(grid.pixel)))
    return full, with_least_count(coherent(full))


def search(problem: Problem, given: NodePhases, settings: GreedySettings, budget: Budget) -> Searched:
    """The best of several starts of every scene.

    Where separation by modulus promises more than a start from node phases, it comes first.

    Args:
        problem: geometry and CSI, coherent subcarriers averaged, in double precision.
        given: node phases [B, n, 1].
        settings: settings of the greedy estimator.
        budget: largest time of every scene.
    """
    state, solved = separated_first(init(problem, given), problem, settings)
    if not solved.any():
        return search_from_phases(problem, given, settings, budget)
    found = Searched.of(state, problem)
    scenes = (~solved).nonzero()[:, 0]
    if len(scenes) > 0:
        found.put(search_from_phases(problem[scenes], given[scenes], settings, budget), scenes)
    return found


def search_from_phases(problem: Problem, given: NodePhases, settings: GreedySettings, budget: Budget) -> Searched:
    """`search` from node phases: the first start uses the given ones or those after autofocus."""
    search_grid = problem.search_grid(settings.detection.spacing)
    coarse = problem.search_grid(settings.restarts.autofocus.spacing)
    focused, gain = autofocus.focus(problem, given, coarse, settings.restarts.autofocus)
    blurred = (gain > settings.restarts.focus_gain) & ~problem.phases_known
    best, from_focused = first_start(problem, search_grid, given, focused, blurred, settings)
    other = choose(from_focused, given, focused)
    apart = phase_difference(given, focused, problem.link[..., 0] > 0) > settings.restarts.jitter

    def second(scenes: Tensor) -> tuple[NodePhases, Tensor]:
        return other[scenes], apart[scenes]

    def run(part: Problem, around: SearchGrid, phases: NodePhases) -> GreedyState:
        return rounds.run(part, around, phases, settings)

    found = restarts.search(best, problem, search_grid, second, run, settings.restarts)
    go_on(found, problem, search_grid, given, blurred, settings, budget)
    return found


def fall_back(
    found: Searched, problem: Problem, given: NodePhases, settings: GreedySettings, budget: Budget
) -> Searched:
    """Fallback: if the residual of a scene exceeds the noise, the greedy estimator continues from the state.

    If the residual still exceeds the noise, it starts anew without scatterers, and the result with the lower Bayesian
    information criterion is kept.

    Args:
        found: search of another estimator on this problem; it changes.
        problem, given, settings, budget: as in `search`.
    """
    scenes = (~found.confirmed(problem) & ~problem.needs_priors).nonzero()[:, 0]
    if len(scenes) > 0:
        part = problem[scenes]
        resumed = rounds.resume(found.best[scenes], part, part.search_grid(settings.detection.spacing), settings)
        found.best = place_scenes(resumed, scenes, found.best)
    scenes = (~found.confirmed(problem)).nonzero()[:, 0]
    if len(scenes) > 0:
        found.include(search(problem[scenes], given[scenes], settings, budget), scenes, problem)
    return found


def first_start(
    problem: Problem,
    search_grid: SearchGrid,
    given: NodePhases,
    focused: NodePhases,
    blurred: Tensor,
    settings: GreedySettings,
) -> tuple[GreedyState, Tensor]:
    """The first start: from the focused phases in the scenes `blurred` [B], from the given phases in the others.

    Autofocus can focus noise too. If the result is worse than no scatterers at the given phases, by the Bayesian
    information criterion, the start is repeated from the given phases.

    Returns:
        The state, and the scenes that started from focused phases, bool [B].
    """
    state = rounds.run(problem, search_grid, choose(blurred, focused, given), settings)
    nothing = init(problem, given).model
    # given node phases are not fitted, and cost nothing
    without = criterion(nothing, problem) - unknowns(nothing, problem) * (2 * problem.n_samples).log()
    worthless = blurred & (criterion(state.model, problem) > without)
    scenes = worthless.nonzero()[:, 0]
    if len(scenes) > 0:
        again = rounds.run(problem[scenes], search_grid[scenes], given[scenes], settings)
        state = place_scenes(again, scenes, state)
    return state, blurred & ~worthless
