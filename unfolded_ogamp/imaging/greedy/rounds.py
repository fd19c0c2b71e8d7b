"""Rounds of the greedy estimator: Newtonised orthogonal matching pursuit on exact atoms, node phases included.

A round adds the strongest echoes of the residual, fits the node phases, and takes joint steps of all positions,
reflectivities and phases. Rounds end when no echo exceeds the false-alarm threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy import detection, pruning
from unfolded_ogamp.imaging.greedy.settings import GreedySettings, StepSettings
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.alignment import aligned
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.likelihood.model_selection import MANY_SAMPLES, noise_power, price_of_source
from unfolded_ogamp.imaging.likelihood.uncertainty import uncertainty
from unfolded_ogamp.imaging.model import Model, evaluate, pad_slots, trim_slots
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.records import Record, choose, place

HOPELESS = 2.0  # residual over the noise after the rounds above which a start ends


@dataclass(frozen=True)
class GreedyState(Record):
    """State between two rounds: the joint state, and the scenes that have not ended, bool [B]."""

    joint: JointState
    running: Tensor

    @property
    def model(self) -> Model:
        """The model found so far."""
        return self.joint.model


def all_running(model: Model) -> GreedyState:
    """The state of a model, with no scene ended."""
    return GreedyState(joint_step.init(model), torch.ones_like(model.cost, dtype=torch.bool))


def init(problem: Problem, phases: NodePhases) -> GreedyState:
    """The state without scatterers, at given node phases [B, n, 1]."""
    sources = Sources.none(problem, phases.tx[..., 0], phases.rx[..., 0])
    return all_running(evaluate(sources, problem))


def run(problem: Problem, search_grid: SearchGrid, phases: NodePhases, settings: GreedySettings) -> GreedyState:
    """One start from node phases [B, n, 1].

    It ends after the first rounds where the residual is so large that nodes, links or targets must differ from the
    model, or the start is in a local minimum; and at once where nodes are known to deviate from their list.
    """
    state = init(problem, phases)
    scenes = (~problem.needs_priors).nonzero()[:, 0]
    if len(scenes) > 0:
        part = run_rounds(state[scenes], problem[scenes], search_grid[scenes], settings)
        state = place_scenes(part, scenes, state)
    scenes = (~problem.needs_priors & ~hopeless(state.model, problem)).nonzero()[:, 0]
    if len(scenes) == 0:
        return all_running(state.model)
    part = converge_and_prune(state[scenes], problem[scenes], settings)
    part = resume(part, problem[scenes], search_grid[scenes], settings)
    return place_scenes(part, scenes, state)


def hopeless(model: Model, problem: Problem) -> Tensor:
    """Scenes of many samples whose residual exceeds the noise by far, bool [B]; none if the noise is unknown."""
    known = (problem.noise_variance > 0) & (problem.n_samples >= MANY_SAMPLES)
    return known & (noise_power(model, problem) > HOPELESS * problem.noise_variance)


def resume(state: GreedyState, problem: Problem, search_grid: SearchGrid, settings: GreedySettings) -> GreedyState:
    """Continue a start: another detection pass."""
    return detection_pass(state, problem, search_grid, settings)


def detection_pass(
    state: GreedyState, problem: Problem, search_grid: SearchGrid, settings: GreedySettings
) -> GreedyState:
    """One detection pass: rounds until no echo exceeds the threshold, joint steps to convergence, and pruning."""
    return converge_and_prune(run_rounds(state, problem, search_grid, settings), problem, settings)


def run_rounds(state: GreedyState, problem: Problem, search_grid: SearchGrid, settings: GreedySettings) -> GreedyState:
    """Rounds until no echo exceeds the threshold in any scene; ended scenes leave the batch when half have ended."""
    whole, scenes = state, torch.arange(len(problem.csi), device=problem.csi.device)
    for _ in range(settings.rounds):
        state = step(state, problem, search_grid, settings)
        if 2 * int(state.running.sum()) <= len(scenes):
            whole = place_scenes(state, scenes, whole)
            left = state.running.nonzero()[:, 0]
            if len(left) == 0:
                return whole
            state, scenes, problem, search_grid = state[left], scenes[left], problem[left], search_grid[left]
    return place_scenes(state, scenes, whole)


def step(state: GreedyState, problem: Problem, search_grid: SearchGrid, settings: GreedySettings) -> GreedyState:
    """One round: detect echoes, fit the phases, take joint steps, merge and prune; a scene ends if none is added."""
    model = state.model
    count = model.sources.used.sum(1)
    grown = detection.add(model, problem, search_grid, settings.detection, limit=1 + count // 3)
    running = state.running & (grown.used.sum(1) > count)
    if not running.any():
        return replace(state, running=running)
    model = align(evaluate(grown, problem), problem, settings.step)
    model = refine(joint_step.init(model), problem, settings.step, settings.step.steps).model
    model = detection.merge_and_prune(model, problem, settings.detection)
    before, after = with_equal_slots(replace(state, running=running), GreedyState(joint_step.init(model), running))
    return choose(running, after, before)


def converge_and_prune(state: GreedyState, problem: Problem, settings: GreedySettings) -> GreedyState:
    """Joint steps to convergence, and pruning of sources whose amplitude is uncertain; no scene counts as ended.

    Two sources in place of one scatterer are both strong, but neither amplitude is certain beside the other. That shows
    only after convergence.
    """

    def certainty(model: Model, around: Problem, _scenes: Tensor) -> Tensor:
        noise = noise_power(model, around).maximum(around.noise_variance)
        variance = uncertainty(model, around).amplitude * noise[:, None]
        wald = model.sources.reflectivity.abs().square() / variance.clamp(min=torch.finfo(variance.dtype).tiny)
        return wald - price_of_source(around)[:, None]

    def refit(fewer: JointState, around: Problem) -> JointState:
        return refine(fewer, around, settings.step, settings.step.final_steps)

    moved = pruning.prune(refit(state.joint, problem), problem, certainty, pruning.weakest, refit, keep_needed=True)
    return GreedyState(replace(moved, model=trim_slots(moved.model)), torch.ones_like(state.running))


def free_phases(model: Model, problem: Problem, settings: StepSettings) -> Tensor:
    """Scenes whose node phases are fitted: unknown ones with enough scatterers or a line of sight; bool [B]."""
    enough = (model.sources.used.sum(1) >= settings.phase_count) | problem.has_los
    return enough & ~problem.phases_known


def refine(state: JointState, problem: Problem, settings: StepSettings, steps: int) -> JointState:
    """Joint steps of each scene until it converges."""
    free = free_phases(state.model, problem, settings)
    converged = torch.zeros_like(free)
    for _ in range(steps):
        moved = joint_step.step(state, problem, free, settings.largest_move)
        state = choose(converged, state, moved)
        converged = converged | (state.decrease < settings.tolerance)
        if converged.all():
            break
    return state


def align(model: Model, problem: Problem, settings: StepSettings) -> Model:
    """The model after a fit of its free node phases to the predicted channel."""
    return evaluate(aligned(model, problem, free_phases(model, problem, settings)), problem)


def place_scenes(part: GreedyState, scenes: Tensor, whole: GreedyState) -> GreedyState:
    """`whole` with the scenes of indices `scenes` replaced by `part`; numbers of slots may differ."""
    part, whole = with_equal_slots(part, whole)
    placed = place(part, scenes, whole)
    return replace(placed, joint=replace(placed.joint, model=trim_slots(placed.model)))


def with_equal_slots(first: GreedyState, second: GreedyState) -> tuple[GreedyState, GreedyState]:
    """The two states, padded to the same number of slots."""
    n_slots = max(state.model.columns.n_slots for state in (first, second))
    first, second = (
        replace(state, joint=replace(state.joint, model=pad_slots(state.model, n_slots))) for state in (first, second)
    )
    return first, second
