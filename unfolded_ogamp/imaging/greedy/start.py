"""One start of the greedy estimator: detection passes, a trial of extended targets, and pruning by the jackknife.

After convergence the residual is smaller, and more echoes may exceed the threshold: hence several detection passes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy import detection, pruning
from unfolded_ogamp.imaging.greedy.rounds import (
    GreedyState,
    companions,
    detection_pass,
    init,
    place_scenes,
    refine,
)
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.likelihood.model_selection import better, consistent, noise_power, strength
from unfolded_ogamp.imaging.mismatch import diagnosis
from unfolded_ogamp.imaging.model import Correction, Model, evaluate, remove_sources, trim_slots
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import remove
from unfolded_ogamp.operators.search_grid import SearchGrid, per_axis
from unfolded_ogamp.records import choose

MISFIT_SHARE = 0.25  # least power of a scatterer beside extended targets, as a share of the residual above the noise


def run(
    problem: Problem, search_grid: SearchGrid, phases: NodePhases, correction: Correction, settings: GreedySettings
) -> GreedyState:
    """One start from node phases [B, n, 1] and a correction of the line of sight."""
    state = detection_pass(init(problem, phases, correction), problem, search_grid, settings)
    _, clustered = companions(state.model, problem, settings)
    return resume(try_extended_targets(state, problem, clustered, settings), problem, search_grid, settings)


def resume(state: GreedyState, problem: Problem, search_grid: SearchGrid, settings: GreedySettings) -> GreedyState:
    """Continue a start: another detection pass, and one more in scenes with newly found extended targets."""
    state = detection_pass(state, problem, search_grid, settings)
    companion, _ = companions(state.model, problem, settings)
    before = state.model.correction.extended
    state = try_extended_targets(state, problem, companion.any(1) & ~before, settings)
    scenes = (state.model.correction.extended & ~before).nonzero()[:, 0]
    if len(scenes) > 0:
        again = detection_pass(state[scenes], problem[scenes], search_grid[scenes], settings)
        state = place_scenes(again, scenes, state)
    return prune_by_jackknife(state, problem, settings)


def try_extended_targets(state: GreedyState, problem: Problem, trial: Tensor, settings: GreedySettings) -> GreedyState:
    """Try one directive source per target in the scenes `trial` [B]; keep it if the fit is better than that of points.

    It is also kept if points cluster while the residual exceeds the noise, because targets may have any shape.
    """
    scenes = trial.nonzero()[:, 0]
    if len(scenes) == 0:
        return state
    points, problem = state[scenes], problem[scenes]
    companion, clustered = companions(points.model, problem, settings)
    every = replace(points.model.correction, extended=torch.ones_like(clustered))
    alone = joint_step.init(evaluate(remove(points.model.sources, companion), problem, every))
    alone = refine(alone, problem, settings.step, settings.step.final_steps)
    exceeds = ~consistent(points.model, problem)
    extended = better(alone.model, points.model, problem) | (clustered & exceeds)
    chosen = choose(extended, alone, points.joint)
    chosen = replace(chosen, model=trim_slots(chosen.model))
    return place_scenes(replace(points, joint=chosen), scenes, state)


def prune_by_jackknife(state: GreedyState, problem: Problem, settings: GreedySettings) -> GreedyState:
    """Remove sources that do not exceed the jackknife noise of their nodes, see `diagnosis.node_noise`.

    This applies to scenes with extended targets and to scenes whose residual exceeds the noise.
    """
    exceeds = ~consistent(state.model, problem)
    scenes = (state.model.correction.extended | exceeds).nonzero()[:, 0]
    if len(scenes) == 0:
        return state
    model, problem = state.model[scenes], problem[scenes]
    # two sources of opposite signs in place of one scatterer are both strong
    model = detection.merge_and_prune(model, problem, settings.detection)
    extended = model.correction.extended
    beside = companions(model, problem, settings)[0] & extended[:, None]

    def refit(fewer: JointState, around: Problem) -> JointState:
        return refine(fewer, around, settings.step, settings.step.final_steps)

    now = refit(joint_step.init(remove_sources(model, beside, problem)), problem)
    # a false point can fit a share of the residual of extended targets at all nodes alike
    share = MISFIT_SHARE * power_above_noise(now.model, problem) * extended

    def margin(model: Model, around: Problem, part: Tensor) -> Tensor:
        chance = (settings.detection.false_alarm / _n_searched(around, settings))[:, None]
        white = -chance.log() * noise_power(model, around)[:, None]
        n_nodes = min(around.link.shape[1:3])
        of_nodes = diagnosis.node_threshold(chance, n_nodes) * diagnosis.node_noise(model, around)
        least = torch.maximum(white, of_nodes).maximum(share[part][:, None])
        return strength(model, around) - least

    kept = pruning.prune(now, problem, margin, pruning.all_weak, refit, keep_needed=False)
    return place_scenes(replace(state[scenes], joint=kept), scenes, state)


def power_above_noise(model: Model, problem: Problem) -> Tensor:
    """Power of the residual minus the expected power of the noise [B]; the whole residual if the noise is unknown."""
    return (model.cost - problem.n_samples * problem.noise_variance).clamp(min=0)


def _n_searched(problem: Problem, settings: GreedySettings) -> Tensor:
    """Number of positions of the search grid of a scene [B]."""
    along = per_axis(problem.grid, problem.array.wavelength, settings.detection.spacing)
    return problem.grid.centre.shape[1] * along.pow(problem.grid.centre.shape[2])
