"""The greedy estimator: starts from several node phases, and the estimate of the best one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unfolded_ogamp.estimate import Estimate
from unfolded_ogamp.estimators import (
    autofocus,
    conclusion,
    correction,
    curvature,
    greedy,
    joint,
    line_of_sight,
    mismatch,
    selection,
    synchronisation,
)
from unfolded_ogamp.estimators.atlas import SCENES_AT_ONCE, Atlas
from unfolded_ogamp.estimators.curvature import Uncertainty
from unfolded_ogamp.estimators.greedy import GreedyState
from unfolded_ogamp.estimators.greedy_settings import GreedySettings
from unfolded_ogamp.estimators.joint import JointState
from unfolded_ogamp.estimators.problem import Problem, pose
from unfolded_ogamp.estimators.sources import Sources
from unfolded_ogamp.estimators.synchronisation import NodePhases
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, distances, isolated_nodes, link_phase, link_phase_error
from unfolded_ogamp.records import choose, place

SAME_PLACE = 0.05  # wavelengths between the scatterers of two starts that agree
STARTS_WITH_SIZE = 6  # more are not worth their time where no residual can be as low as the noise
NEGLIGIBLE = 0.01  # share of the power of all scatterers that two starts may not agree on


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
        return conclusion.batched([self._estimate(csi[part], array[part], grid[part]) for part in parts])

    def _estimate(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        settings, dtype = self.settings, grid.centre.dtype
        double = torch.float64
        csi, array, grid = csi.to(dtype=double), array.to(dtype=double), grid.to(dtype=double)
        # the count sets the units alone, so that single precision suffices for the atlas
        problem = pose(csi, array, grid, torch.ones_like(grid.pixel))
        problem, given = line_of_sight.fitted(problem, first_phases(problem))
        best, problem = search(problem, given, settings)
        return conclude(best, problem, settings, dtype)


def search(problem: Problem, given: NodePhases, settings: GreedySettings) -> tuple[GreedyState, Problem]:
    """The best of several starts of every scene, the first from the given node phases or from those in focus.

    Returns:
        It, and the problem with the line of sight as it turned out to be.
    """
    atlas = Atlas.of(problem, settings.spacing)
    coarse = Atlas.of(problem, settings.autofocus.spacing)
    focused, gain = autofocus.focus(problem, given, coarse, settings.autofocus)
    best, hazy = first_start(problem, atlas, given, focused, gain > settings.haze, settings)
    problem, best = as_told(best, problem, settings)
    # where every node has a trusted line of sight its phase is told, and another start finds the same
    agreed = ~isolated_nodes(problem.trusted[..., 0] > 0).any(1)
    generator = torch.Generator().manual_seed(settings.seed)
    for start in range(1, settings.starts):
        settled = agreed | (best.sized & (start >= STARTS_WITH_SIZE))
        scenes = (~settled & (selection.excess(best.joint, problem) > settings.margin)).nonzero()[:, 0]
        if len(scenes) == 0:
            break
        part = problem[scenes]
        if start == 1:
            phases = choose(hazy, given, focused)[scenes]
            independent = apart(given, focused, problem.link[..., 0] > 0) > settings.jitter
        elif start % 2 == 0:
            phases = near_phases(best.joint.sources, settings.jitter, generator)[scenes]
            independent = torch.zeros_like(hazy)
        else:
            phases = random_phases(part, generator)
            phases, _ = autofocus.focus(part, phases, coarse[scenes], settings.autofocus)
            independent = torch.ones_like(hazy)
        other = greedy.run(part, atlas[scenes], phases, settings)
        best, same = better(best, other, scenes, problem)
        # a start near the best one ends where that did, trap or not
        agreed = agreed | (same & independent)
    return best, problem


def first_phases(problem: Problem) -> NodePhases:
    """Node phases of the first start: those that fit the trusted line of sight, zero where there is none."""
    zero = NodePhases.zero(problem.link, 1)
    return synchronisation.step(problem.csi, problem.los, problem.trusted, zero, greedy.ALIGNMENT, 1.0, 0.0)


def first_start(
    problem: Problem, atlas: Atlas, given: NodePhases, focused: NodePhases, hazy: Tensor, settings: GreedySettings
) -> tuple[GreedyState, Tensor]:
    """The start from the focused phases in scenes that are `hazy` [B], else from those that are given.

    Noise can be focused too. Where focused phases are not worth their number of unknowns, the given ones are taken.

    Returns:
        The state, and the scenes that began with focused phases, bool [B].
    """
    state = greedy.run(problem, atlas, choose(hazy, focused, given), settings)
    without = 2 * selection.samples(problem) * greedy.init(problem, given).joint.cost.log()
    worthless = hazy & (selection.criterion(state.joint, greedy.seen(state, problem)) > without)
    scenes = worthless.nonzero()[:, 0]
    if len(scenes) > 0:
        again = greedy.run(problem[scenes], atlas[scenes], given[scenes], settings)
        state = greedy.place_sources(again, scenes, state)
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
    seen = greedy.seen(state, told)
    start = joint.init(greedy.align(state.joint.sources, seen, settings), seen)
    alone, fitted = greedy.refine(start, told, settings, settings.final_steps, state.sized)
    needless = selection.criterion(alone, fitted) < selection.criterion(state.joint, greedy.seen(state, with_series))
    state = replace(state, joint=choose(needless, alone, state.joint))
    return place(choose(needless, told, with_series), scenes, problem), greedy.place_sources(state, scenes, best)


def apart(first: NodePhases, second: NodePhases, link: Tensor) -> Tensor:
    """Root mean square difference of the link phases [B], gauge removed, over links [B, n_tx, n_rx] (bool), [rad]."""
    error = link_phase_error(link_phase(first.tx, first.rx), link_phase(second.tx, second.rx), link)
    return (error.square().sum((1, 2, 3)) / link.sum((1, 2))).sqrt()


def random_phases(problem: Problem, generator: torch.Generator) -> NodePhases:
    """Uniform node phases, the same in every scene, so that none depends on what else is in the batch."""
    zero = NodePhases.zero(problem.link, 1)
    tx, rx = (torch.rand(side.shape[1], 1, generator=generator, dtype=side.dtype) for side in (zero.tx, zero.rx))
    return replace(zero, tx=zero.tx + 2 * math.pi * tx.to(zero.tx), rx=zero.rx + 2 * math.pi * rx.to(zero.rx))


def near_phases(sources: Sources, std: float, generator: torch.Generator) -> NodePhases:
    """The node phases of the sources, and noise of this standard deviation [rad], the same in every scene."""
    tx, rx = sources.tx_phase[..., None], sources.rx_phase[..., None]
    noise = [std * torch.randn(side.shape[1], 1, generator=generator, dtype=side.dtype).to(side) for side in (tx, rx)]
    return NodePhases(tx + noise[0], rx + noise[1], torch.zeros_like(tx), torch.zeros_like(rx))


def better(best: GreedyState, other: GreedyState, scenes: Tensor, problem: Problem) -> tuple[GreedyState, Tensor]:
    """Scene by scene the better of two starts, of which the second was made for `scenes` [B'] alone.

    Returns:
        The better ones, and the scenes in which both found something and ended in the same place, bool [B].
    """
    tried = torch.zeros_like(best.running)
    tried[scenes] = True
    best, other = greedy.as_many_slots(best, greedy.place_sources(other, scenes, best))
    same = tried & agree(best.joint, other.joint, problem)
    scores = [selection.criterion(state.joint, greedy.seen(state, problem)) for state in (best, other)]
    return choose(tried & (scores[1] < scores[0]), other, best), same


def agree(first: JointState, second: JointState, problem: Problem) -> Tensor:
    """Whether two starts have found the same scatterers, but for some of next to no power, and any: bool [B]."""
    distance = distances(first.sources.position, second.sources.position)
    both = first.sources.used[:, :, None] & second.sources.used[:, None]
    near = both & (distance < SAME_PLACE * problem.array.wavelength[:, None, None])
    same = first.sources.used.any(1)
    for state, matched in ((first, near.any(2)), (second, near.any(1))):
        echo = torch.where(state.sources.used, selection.strength(state.sources, problem), 0)
        same = same & ((echo * ~matched).sum(1) <= NEGLIGIBLE * echo.sum(1))
    return same


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
    state = joint.init(sources, problem)
    # where the noise is not known it is what the residual shows
    noise = selection.noise_power(state.cost, sources, problem)
    ratio = torch.ones_like(noise) if problem.noise_variance is None else noise / problem.noise_variance
    misfit = (ratio > 1) & (selection.excess(state, problem) > settings.margin)
    mismatch.tell(best.sized, problem.near, ratio, misfit)
    beside = torch.where((best.sized | misfit)[:, None], mismatch.node_noise(sources, problem), 0)
    alone = noise if problem.noise_variance is None else torch.where(misfit, noise, problem.noise_variance)
    level = torch.maximum(alone[:, None], beside)
    known = curvature.uncertainty(sources, problem)
    if decide is None:
        probability = conclusion.presence(selection.strength(sources, problem) / level, problem.grid.centre.shape[1])
    else:
        probability = decide(state, problem, known)
    return conclusion.of_sources(state, problem, known, level, misfit, probability, dtype)
