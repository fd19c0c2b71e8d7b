"""The greedy estimator: starts from several node phases, and the estimate of the best one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging import assemble
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.greedy import restarts, rounds
from unfolded_ogamp.imaging.greedy.rounds import GreedyState
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood import joint_step, model_selection, uncertainty
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty
from unfolded_ogamp.imaging.mismatch import correction, diagnosis, line_of_sight
from unfolded_ogamp.imaging.phases import autofocus, refinement
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.records import choose, place

SCENES_AT_ONCE = 8  # more do not fit a processor's cache, and take longer each


@dataclass(frozen=True)
class GreedyEstimator:
    """Greedy estimation with restarts, in double precision whatever comes in.

    A scene is settled when its residual is what the noise allows, or when two starts agree.
    """

    settings: GreedySettings = field(default_factory=GreedySettings)

    @torch.no_grad()
    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes.

        Raises:
            ValueError: if shapes do not fit one another.
        """
        parts = [slice(first, first + SCENES_AT_ONCE) for first in range(0, len(csi.value), SCENES_AT_ONCE)]
        return assemble.batched([self._estimate(csi[part], array[part], grid[part]) for part in parts])

    def _estimate(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        settings, dtype = self.settings, grid.centre.dtype
        double = torch.float64
        csi, array, grid = csi.to(dtype=double), array.to(dtype=double), grid.to(dtype=double)
        # the count sets the units alone, so that single precision suffices for the search_grid
        problem = pose(csi, array, grid, torch.ones_like(grid.pixel))
        problem, given = line_of_sight.fitted(problem, first_phases(problem))
        best, problem = search(problem, given, settings)
        return conclude(best, problem, settings, dtype)


def search(problem: Problem, given: NodePhases, settings: GreedySettings) -> tuple[GreedyState, Problem]:
    """The best of several starts of every scene, the first from the given node phases or from those in focus.

    Returns:
        It, and the problem with the line of sight as it turned out to be.
    """
    search_grid = problem.search_grid(settings.spacing)
    coarse = problem.search_grid(settings.autofocus.spacing)
    focused, gain = autofocus.focus(problem, given, coarse, settings.autofocus)
    best, hazy = first_start(problem, search_grid, given, focused, gain > settings.haze, settings)
    problem, best = as_told(best, problem, settings)
    other = choose(hazy, given, focused)
    moved = restarts.apart(given, focused, problem.link[..., 0] > 0) > settings.jitter

    def second(scenes: Tensor) -> tuple[NodePhases, Tensor]:
        return other[scenes], moved[scenes]

    def run(part: Problem, around: SearchGrid, phases: NodePhases) -> GreedyState:
        return rounds.run(part, around, phases, settings)

    return restarts.search(best, problem, search_grid, second, run, settings, settings.starts), problem


def take_over(
    state: GreedyState, problem: Problem, given: NodePhases, settings: GreedySettings
) -> tuple[GreedyState, Problem]:
    """Where the noise is not all that is left, what the greedy estimator makes of it: from here, or else from nothing.

    It sees targets with size, too; of the two ends the one is taken that the information criterion prefers.

    Args:
        state: what was found.
        problem: on all subcarriers, in double precision, with the line of sight as told.
        given: node phases [B, n, 1] that are known to begin with.
        settings: of the greedy estimator.

    Returns:
        The state, and the problem with the line of sight as it turned out to be.
    """
    state = replace(state, joint=joint_step.init(state.joint.sources, problem))
    scenes = (~restarts.settled(state, problem, settings)).nonzero()[:, 0]
    if len(scenes) == 0:
        return state, problem
    part = problem[scenes]
    state = rounds.place_sources(
        rounds.resume(state[scenes], part, part.search_grid(settings.spacing), settings), scenes, state
    )
    scenes = (~restarts.settled(state, problem, settings)).nonzero()[:, 0]
    if len(scenes) == 0:
        return state, problem
    part = problem[scenes]
    anew, told = search(*line_of_sight.fitted(part, given[scenes]), settings)
    resumed, anew = rounds.as_many_slots(state[scenes], anew)
    better_anew = restarts.criterion(anew, told) < restarts.criterion(resumed, part)
    state = rounds.place_sources(choose(better_anew, anew, resumed), scenes, state)
    return state, place(choose(better_anew, told, part), scenes, problem)


def first_phases(problem: Problem) -> NodePhases:
    """Node phases of the first start: those that fit the trusted line of sight, zero where there is none."""
    zero = NodePhases.zero(problem.link, 1)
    return refinement.step(problem.csi, problem.los, problem.trusted, zero, rounds.ALIGNMENT, 1.0, 0.0)


def first_start(
    problem: Problem,
    search_grid: SearchGrid,
    given: NodePhases,
    focused: NodePhases,
    hazy: Tensor,
    settings: GreedySettings,
) -> tuple[GreedyState, Tensor]:
    """The start from the focused phases in scenes that are `hazy` [B], else from those that are given.

    Noise can be focused too. Where focused phases are not worth their number of unknowns, the given ones are taken.

    Returns:
        The state, and the scenes that began with focused phases, bool [B].
    """
    state = rounds.run(problem, search_grid, choose(hazy, focused, given), settings)
    without = 2 * problem.n_samples * rounds.init(problem, given).joint.cost.log()
    worthless = hazy & (restarts.criterion(state, problem) > without)
    scenes = worthless.nonzero()[:, 0]
    if len(scenes) > 0:
        again = rounds.run(problem[scenes], search_grid[scenes], given[scenes], settings)
        state = rounds.place_sources(again, scenes, state)
    return state, hazy & ~worthless


def as_told(best: GreedyState, problem: Problem, settings: GreedySettings) -> tuple[Problem, GreedyState]:
    """The line of sight as told after all where, beside the sources, its series is not worth its coefficients.

    Before there were any, it may have explained echoes.
    """
    scenes = problem.near.nonzero()[:, 0]
    if len(scenes) == 0:
        return problem, best
    state, with_series = best[scenes], problem[scenes]
    told = replace(with_series, near=torch.zeros_like(with_series.near))
    seen = rounds.seen(state, told)
    start = joint_step.init(rounds.align(state.joint.sources, seen, settings), seen)
    alone, fitted = rounds.refine(start, told, settings, settings.final_steps, state.sized)
    needless = model_selection.criterion(alone, fitted) < restarts.criterion(state, with_series)
    state = replace(state, joint=choose(needless, alone, state.joint))
    return place(choose(needless, told, with_series), scenes, problem), rounds.place_sources(state, scenes, best)


def conclude(
    best: GreedyState,
    problem: Problem,
    settings: GreedySettings,
    dtype: torch.dtype,
    decide: Callable[[JointState, Problem, Uncertainty], Tensor] | None = None,
) -> Estimate:
    """The estimate that a state stands for, in the units of the CSI.

    Args:
        best: what was found, in double precision.
        problem: geometry, CSI and units.
        settings: which residual is more than noise.
        dtype: real precision of the estimate.
        decide: probability that a source is a scatterer [B, S], by the state, the problem and the uncertainty; by
            default that of its echoes in noise.

    Warns:
        MismatchWarning: if the model does not fit the CSI; uncertainties then are those that nodes show.
    """
    sources, problem = correction.fitted(best.joint.sources, problem, best.sized)
    state = joint_step.init(sources, problem)
    # where the noise is not known it is what the residual shows
    noise = model_selection.noise_power(state.cost, sources, problem)
    ratio = torch.ones_like(noise) if problem.noise_variance is None else noise / problem.noise_variance
    misfit = (ratio > 1) & (model_selection.excess(state, problem) > settings.margin)
    diagnosis.tell(best.sized, problem.near, ratio, misfit)
    beside = torch.zeros_like(state.sources.position[..., 0])
    scenes = (best.sized | misfit).nonzero()[:, 0]
    if len(scenes) > 0:
        beside = beside.index_copy(0, scenes, diagnosis.node_noise(sources[scenes], problem[scenes]))
    alone = noise if problem.noise_variance is None else torch.where(misfit, noise, problem.noise_variance)
    level = torch.maximum(alone[:, None], beside)
    known = uncertainty.uncertainty(sources, problem)
    if decide is None:
        probability = assemble.presence(
            model_selection.strength(sources, problem) / level, problem.grid.centre.shape[1]
        )
    else:
        probability = decide(state, problem, known)
    return assemble.of_sources(state, problem, known, level, misfit, probability, dtype)
