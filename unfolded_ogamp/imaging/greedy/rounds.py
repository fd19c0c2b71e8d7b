"""Greedy estimation: Newtonised orthogonal matching pursuit on exact bistatic atoms, node phases included.

A round looks for the strongest echoes in what is not explained yet, adds them, fits the node phases, and lets all
positions, reflectivities and phases move together. A start ends when nothing more stands out of the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy import detection
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood import joint_step, model_selection, normal_equations, uncertainty
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.mismatch import correction, diagnosis
from unfolded_ogamp.imaging.phases import refinement
from unfolded_ogamp.imaging.phases.refinement import NodePhases, SynchronisationSettings
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, columns_of, compact, drop, padded
from unfolded_ogamp.operators.search_grid import SearchGrid, per_axis
from unfolded_ogamp.records import Record, choose, place

ALIGNMENT = SynchronisationSettings(method="alignment", alignment_iterations=20, node_phase="common")
MISFIT_SHARE = 0.25  # of what is left beside noise that a scatterer has to exceed where targets have size


@dataclass(frozen=True)
class GreedyState(Record):
    """State between two rounds: the joint state; which scenes go on, and in which targets have size, bool [B]."""

    joint: JointState
    running: Tensor
    sized: Tensor


def init(problem: Problem, phases: NodePhases) -> GreedyState:
    """No scatterer yet, node phases [B, n, 1] as given."""
    batch, dimension = len(problem.csi), problem.grid.centre.shape[-1]
    position, reflectivity = problem.grid.centre.new_zeros(batch, 0, dimension), problem.csi.new_zeros(batch, 0)
    used = torch.zeros(batch, 0, dtype=torch.bool, device=problem.csi.device)
    sources = Sources(position, reflectivity, used, phases.tx[..., 0], phases.rx[..., 0])
    running = torch.ones(batch, dtype=torch.bool, device=problem.csi.device)
    return GreedyState(joint_step.init(sources, problem), running, ~running)


def seen(state: GreedyState, problem: Problem) -> Problem:
    """The problem with the directivity of targets that have size."""
    return correction.fitted(state.joint.sources, problem, state.sized)[1]


def run(problem: Problem, search_grid: SearchGrid, phases: NodePhases, settings: GreedySettings) -> GreedyState:
    """One start from node phases [B, n, 1] to its end.

    Sources that have converged leave a cleaner residual, in which something more may stand out: hence the second look.
    """
    state = look(init(problem, phases), problem, search_grid, settings)
    _, clustered = companions(state.joint.sources, problem, settings)
    return resume(with_size(state, problem, clustered, settings), problem, search_grid, settings)


def resume(state: GreedyState, problem: Problem, search_grid: SearchGrid, settings: GreedySettings) -> GreedyState:
    """The end of a start from what was found so far: another look, and one more where targets turn out to have size."""
    state = look(state, problem, search_grid, settings)
    companion, _ = companions(state.joint.sources, problem, settings)
    told = with_size(state, problem, companion.any(1) & ~state.sized, settings)
    scenes = (told.sized & ~state.sized).nonzero()[:, 0]
    if len(scenes) > 0:
        again = look(told[scenes], problem[scenes], search_grid[scenes], settings)
        told = place_sources(again, scenes, told)
    return sure(told, problem, settings)


def look(state: GreedyState, problem: Problem, search_grid: SearchGrid, settings: GreedySettings) -> GreedyState:
    """All that stands out of the noise, converged."""
    return finish(grow(state, problem, search_grid, settings), problem, settings)


def with_size(state: GreedyState, problem: Problem, trial: Tensor, settings: GreedySettings) -> GreedyState:
    """One source per target, with a directivity, where in `trial` [B] that explains the CSI better than points do.

    Or where points gather although the noise is not all that is left: targets may be of any shape.
    """
    scenes = trial.nonzero()[:, 0]
    if len(scenes) == 0:
        return state
    points, problem = state[scenes], problem[scenes]
    companion, clustered = companions(points.joint.sources, problem, settings)
    sources = drop(points.joint.sources, companion)
    sized = torch.ones_like(clustered)
    alone, fitted = refine(joint_step.init(sources, problem), problem, settings, settings.final_steps, sized)
    fits_better = model_selection.criterion(alone, fitted) < model_selection.criterion(points.joint, problem)
    sized = fits_better | (clustered & (model_selection.excess(points.joint, problem) > settings.margin))
    chosen = choose(sized, alone, points.joint)
    told = replace(points, joint=replace(chosen, sources=compact(chosen.sources)), sized=sized)
    return place_sources(told, scenes, state)


def companions(sources: Sources, problem: Problem, settings: GreedySettings) -> tuple[Tensor, Tensor]:
    """Sources next to stronger ones [B, S], and the scenes in which there are too many of them [B]."""
    radius = settings.size * problem.array.wavelength
    companion = diagnosis.companions(sources, model_selection.strength(sources, problem), radius)
    return companion, diagnosis.clustered(sources, companion, problem, radius, settings.false_alarm)


def sure(state: GreedyState, problem: Problem, settings: GreedySettings) -> GreedyState:
    """Without what does not stand out of the noise as nodes show it, where the residual is not the noise alone."""
    pixels = problem.grid.centre.shape[1]
    count = pixels * per_axis(problem.grid, problem.array.wavelength, settings.spacing).pow(
        problem.grid.centre.shape[2]
    )
    n_nodes = min(problem.link.shape[1:3])
    scenes = (state.sized | (model_selection.excess(state.joint, problem) > settings.margin)).nonzero()[:, 0]
    if len(scenes) == 0:
        return state
    doubted, problem = state[scenes], problem[scenes]
    chance = (settings.false_alarm / count[scenes])[:, None]
    fitted = seen(doubted, problem)
    # two that are one, of opposite signs, are strong each
    merged = detection.tidy(doubted.joint.sources, fitted, settings)
    merged = drop(merged, companions(merged, fitted, settings)[0] & doubted.sized[:, None])
    now, fitted = refine(joint_step.init(merged, fitted), problem, settings, settings.final_steps, doubted.sized)
    # a point among what targets with size leave takes away a share of it, which all nodes agree on
    share = MISFIT_SHARE * unexplained(now, fitted) * doubted.sized
    while True:
        sources, echo = now.sources, model_selection.strength(now.sources, fitted)
        white = -chance.log() * model_selection.noise_power(now.cost, sources, fitted)[:, None]
        of_nodes = diagnosis.node_threshold(chance, n_nodes) * diagnosis.node_noise(sources, fitted)
        doubtful = sources.used & (echo < torch.maximum(white, of_nodes).maximum(share[:, None]))
        if not doubtful.any():
            return place_sources(replace(doubted, joint=now), scenes, state)
        fewer = joint_step.init(drop(sources, doubtful), fitted)
        now, fitted = refine(fewer, problem, settings, settings.final_steps, doubted.sized)


def unexplained(state: JointState, problem: Problem) -> Tensor:
    """What the residual holds beside noise [B]; all of it where the noise is not known."""
    if problem.noise_variance is None:
        return state.cost
    return (state.cost - problem.n_samples * problem.noise_variance).clamp(min=0)


def grow(state: GreedyState, problem: Problem, search_grid: SearchGrid, settings: GreedySettings) -> GreedyState:
    """Rounds until nothing stands out of the noise in any scene; those that have ended are set aside."""
    whole, scenes = state, torch.arange(len(problem.csi), device=problem.csi.device)
    for _ in range(settings.rounds):
        state = step(state, problem, search_grid, settings)
        if 2 * int(state.running.sum()) <= len(scenes):
            whole = place_sources(state, scenes, whole)
            left = state.running.nonzero()[:, 0]
            if len(left) == 0:
                return whole
            state, scenes, problem, search_grid = state[left], scenes[left], problem[left], search_grid[left]
    return place_sources(state, scenes, whole)


def place_sources(part: GreedyState, scenes: Tensor, whole: GreedyState) -> GreedyState:
    """`whole` with the scenes `scenes` replaced by `part`, whatever their numbers of slots."""
    part, whole = as_many_slots(part, whole)
    placed = place(part, scenes, whole)
    return replace(placed, joint=replace(placed.joint, sources=compact(placed.joint.sources)))


def as_many_slots(first: GreedyState, second: GreedyState) -> tuple[GreedyState, GreedyState]:
    """Both states with as many slots as the fuller one."""
    n_slots = max(state.joint.sources.used.shape[1] for state in (first, second))
    first, second = (
        replace(state, joint=replace(state.joint, sources=padded(state.joint.sources, n_slots)))
        for state in (first, second)
    )
    return first, second


def step(state: GreedyState, problem: Problem, search_grid: SearchGrid, settings: GreedySettings) -> GreedyState:
    """One round: look, add, fit the phases, move everything, merge and prune.

    Scenes in which nothing is added end, and those that turn out to hold targets with size, to be told so.
    """
    sources, seen = correction.fitted(state.joint.sources, problem, state.sized)
    count = sources.used.sum(1)
    grown = detection.add(sources, seen, state.sized, search_grid, settings, limit=1 + count // 3)
    running = state.running & (grown.used.sum(1) > count)
    if not running.any():
        return replace(state, running=running)
    aligned = joint_step.init(align(grown, seen, settings), seen)
    moved, seen = refine(aligned, problem, settings, settings.steps, state.sized)
    tidied = detection.tidy(moved.sources, seen, settings)
    companion, clustered = companions(tidied, seen, settings)
    tidied = compact(drop(tidied, companion & state.sized[:, None]))
    after = GreedyState(joint_step.init(tidied, seen), running & (state.sized | ~clustered), state.sized)
    before, after = as_many_slots(replace(state, running=running), after)
    return choose(running, after, before)


def finish(state: GreedyState, problem: Problem, settings: GreedySettings) -> GreedyState:
    """Joint steps to convergence, without what is not needed beside the others; all scenes may go on.

    A pair that splits one scatterer is strong each, but neither is certain: only now, with everything fitted, is a
    source measured against the others. The least certain one of a scene goes at a time, unless the rest, fitted anew,
    explains so much less that it comes back for good: two scatterers closer than the point response look the same.
    """
    moved, seen = refine(state.joint, problem, settings, settings.final_steps, state.sized)
    needed = torch.zeros_like(moved.sources.used)
    # an amplitude alone in noise has half the noise for its variance
    least = 2 * model_selection.detection_threshold(problem.grid.centre.shape[1], settings)
    while True:
        sources = moved.sources
        noise = model_selection.noise_power(moved.cost, sources, seen)
        variance = uncertainty.uncertainty(sources, seen).amplitude * noise[:, None]
        certainty = sources.reflectivity.abs().square() / variance.clamp(min=torch.finfo(variance.dtype).tiny)
        certainty = torch.where(sources.used & ~needed, certainty, torch.inf)
        doubtful = certainty < least
        if not doubtful.any():
            joint_state = replace(moved, sources=compact(sources))
            return replace(state, joint=joint_state, running=torch.ones_like(state.running))
        weakest = doubtful & (certainty <= certainty.amin(1, keepdim=True))
        fewer = joint_step.init(drop(sources, weakest), seen)
        without, other = refine(fewer, problem, settings, settings.final_steps, state.sized)
        better = weakest.any(1) & (model_selection.criterion(without, other) < model_selection.criterion(moved, seen))
        moved, seen = choose(better, without, moved), choose(better, other, seen)
        needed = needed | (weakest & ~better[:, None])


def refine(
    state: JointState, problem: Problem, settings: GreedySettings, steps: int, sized: Tensor
) -> tuple[JointState, Problem]:
    """Joint steps, in each scene until it has converged, of the node phases only where they are free.

    Returns:
        The state, and the problem with the directivity of targets where these have size, bool [B].
    """
    free = model_selection.phases_free(state.sources, problem, settings)
    converged = torch.zeros_like(free)
    scenes = correction.corrected(state.sources, problem, sized).nonzero()[:, 0]
    sources, seen = correction.fitted(state.sources, problem, sized)
    if len(scenes) > 0:
        corrected = replace(joint_step.init(sources, seen), damping=state.damping)
        state = place(corrected[scenes], scenes, state)
    for _ in range(steps):
        moved = joint_step.step(state, seen, free, settings.largest_move)
        if len(scenes) > 0:
            some, fitted = correction.step(
                state[scenes], seen[scenes], sized[scenes], free[scenes], settings.largest_move
            )
            moved, again = place(some, scenes, moved), place(fitted, scenes, seen)
            seen = choose(converged, seen, again)
        state = choose(converged, state, moved)
        converged = converged | (state.decrease < settings.tolerance)
        if converged.all():
            break
    return state, seen


def align(sources: Sources, problem: Problem, settings: GreedySettings) -> Sources:
    """Node phases fitted to the modelled channel by power iteration, (24), where they are free."""
    _, channel = normal_equations.residual(sources, problem, columns_of(sources, problem))
    tx, rx = sources.tx_phase[..., None], sources.rx_phase[..., None]
    phases = NodePhases(tx, rx, torch.zeros_like(tx), torch.zeros_like(rx))
    fitted = refinement.step(problem.csi, channel, problem.link, phases, ALIGNMENT, 1.0, 0.0)
    free = model_selection.phases_free(sources, problem, settings)[:, None]
    return replace(
        sources,
        tx_phase=torch.where(free, fitted.tx[..., 0], sources.tx_phase),
        rx_phase=torch.where(free, fitted.rx[..., 0], sources.rx_phase),
    )
