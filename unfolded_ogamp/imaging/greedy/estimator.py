"""The greedy estimator: starts from several node phases; the best start gives the estimate."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging import assemble
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.greedy import restarts, start
from unfolded_ogamp.imaging.greedy.rounds import (
    GreedyState,
    align,
    init,
    place_scenes,
    refine,
    with_equal_slots,
)
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.model_selection import better, consistent, criterion
from unfolded_ogamp.imaging.mismatch.correction import refit
from unfolded_ogamp.imaging.mismatch.line_of_sight import fit_near_field
from unfolded_ogamp.imaging.model import Correction, evaluate
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

    A scene ends when its residual is consistent with the noise, or when two starts agree.
    """

    settings: GreedySettings = field(default_factory=GreedySettings)

    @torch.no_grad()
    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes.

        Raises:
            ValueError: if shapes do not match.

        Warns:
            MismatchWarning: if the model does not fit the CSI.
        """
        parts = [slice(first, first + SCENES_AT_ONCE) for first in range(0, len(csi.value), SCENES_AT_ONCE)]
        return assemble.batched([self._estimate(csi[part], array[part], grid[part]) for part in parts])

    def _estimate(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        dtype, double = grid.centre.dtype, torch.float64
        csi, array, grid = csi.to(dtype=double), array.to(dtype=double), grid.to(dtype=double)
        # an expected count of one: it sets the units only, which lets the search grid use single precision
        problem = pose(csi, array, grid, torch.ones_like(grid.pixel))
        best = search(problem, initial_phases(problem), self.settings)
        return assemble.from_model(refit(best.model, problem), problem, self.settings.restarts.margin, dtype)


def search(problem: Problem, given: NodePhases, settings: GreedySettings) -> GreedyState:
    """The best of several starts of every scene; the first uses the given node phases or those after autofocus."""
    correction, given = fit_near_field(problem, given)
    search_grid = problem.search_grid(settings.detection.spacing)
    coarse = problem.search_grid(settings.restarts.autofocus.spacing)
    focused, gain = autofocus.focus(problem, given, coarse, settings.restarts.autofocus)
    blurred = gain > settings.restarts.focus_gain
    best, from_focused = first_start(problem, search_grid, given, focused, blurred, correction, settings)
    best = prune_near_field(best, problem, settings)
    correction = choose(best.model.correction.near_field, correction, Correction.none(problem))
    other = choose(from_focused, given, focused)
    apart = restarts.phase_difference(given, focused, problem.link[..., 0] > 0) > settings.restarts.jitter

    def second(scenes: Tensor) -> tuple[NodePhases, Tensor]:
        return other[scenes], apart[scenes]

    def run(part: Problem, around: SearchGrid, phases: NodePhases, begun: Correction) -> GreedyState:
        return start.run(part, around, phases, begun, settings)

    return restarts.search(best, problem, search_grid, second, correction, run, settings.restarts)


def fall_back(state: GreedyState, problem: Problem, given: NodePhases, settings: GreedySettings) -> GreedyState:
    """Fallback: if the residual of a scene exceeds the noise, the greedy estimator continues from the state.

    If the residual still exceeds the noise, it starts anew without scatterers, and the result with the lower Bayesian
    information criterion is kept.

    Args:
        state: result of another estimator on this problem.
        problem: geometry and CSI on all subcarriers, in double precision.
        given: node phases [B, n, 1] of the first start.
        settings: settings of the greedy estimator.
    """
    scenes = (~consistent(state.model, problem, settings.restarts.margin)).nonzero()[:, 0]
    if len(scenes) == 0:
        return state
    part = problem[scenes]
    resumed = start.resume(state[scenes], part, part.search_grid(settings.detection.spacing), settings)
    state = place_scenes(resumed, scenes, state)
    scenes = (~consistent(state.model, problem, settings.restarts.margin)).nonzero()[:, 0]
    if len(scenes) == 0:
        return state
    part = problem[scenes]
    resumed, anew = with_equal_slots(state[scenes], search(part, given[scenes], settings))
    return place_scenes(choose(better(anew.model, resumed.model, part), anew, resumed), scenes, state)


def first_start(
    problem: Problem,
    search_grid: SearchGrid,
    given: NodePhases,
    focused: NodePhases,
    blurred: Tensor,
    correction: Correction,
    settings: GreedySettings,
) -> tuple[GreedyState, Tensor]:
    """The first start: from the focused phases in the scenes `blurred` [B], from the given phases in the others.

    Autofocus can focus noise too. If the result is worse than no scatterers at the given phases, by the Bayesian
    information criterion, the start is repeated from the given phases.

    Returns:
        The state, and the scenes that started from focused phases, bool [B].
    """
    state = start.run(problem, search_grid, choose(blurred, focused, given), correction, settings)
    without = 2 * problem.n_samples * init(problem, given, correction).model.cost.log()
    worthless = blurred & (criterion(state.model, problem) > without)
    scenes = worthless.nonzero()[:, 0]
    if len(scenes) > 0:
        again = start.run(problem[scenes], search_grid[scenes], given[scenes], correction[scenes], settings)
        state = place_scenes(again, scenes, state)
    return state, blurred & ~worthless


def prune_near_field(best: GreedyState, problem: Problem, settings: GreedySettings) -> GreedyState:
    """Remove the near-field correction of the line of sight where the fit with sources is better without it.

    It was fitted before there were sources, and may have fitted their echoes.
    """
    scenes = best.model.correction.near_field.nonzero()[:, 0]
    if len(scenes) == 0:
        return best
    state, part = best[scenes], problem[scenes]
    none = replace(Correction.none(part), extended=state.model.correction.extended)
    without = refit(evaluate(state.model.sources, part, none), part).correction
    # the reflectivities of the fit with near field give node phases that lead to the better minimum
    aligned = align(evaluate(state.model.sources, part, without), part, settings.step)
    alone = refine(joint_step.init(aligned), part, settings.step, settings.step.final_steps)
    needless = better(alone.model, state.model, part)
    return place_scenes(replace(state, joint=choose(needless, alone, state.joint)), scenes, best)
