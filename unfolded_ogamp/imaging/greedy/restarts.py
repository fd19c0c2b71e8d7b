"""Restarts: if the residual of a scene exceeds the noise, start again from other node phases; keep the best start."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy.rounds import GreedyState, place_scenes, with_equal_slots
from unfolded_ogamp.imaging.greedy.settings import RestartSettings
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Correction, Model
from unfolded_ogamp.imaging.phases import autofocus
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import distances, isolated_nodes, link_phase, link_phase_error
from unfolded_ogamp.records import choose

SAME_PLACE = 0.05  # largest distance of two equal scatterers of two starts, in wavelengths
STARTS_IF_EXTENDED = 6  # with extended targets the residual stays above the noise, and more starts cost time only
NEGLIGIBLE = 0.01  # share of the scattered power on which two equal starts may differ

Run = Callable[[Problem, SearchGrid, NodePhases, Correction], GreedyState]
Second = Callable[[Tensor], tuple[NodePhases, Tensor]]


def search(
    first: GreedyState,
    problem: Problem,
    search_grid: SearchGrid,
    second: Second,
    correction: Correction,
    run: Run,
    settings: RestartSettings,
) -> GreedyState:
    """The best of several starts of every scene.

    A scene ends when its residual is consistent with the noise, or when two independent starts agree. The latter ends
    scenes of unknown noise variance and scenes that the model does not fit. After the second start, starts alternate
    between phases near the best ones so far and random uniform phases after autofocus.

    Args:
        first: result of the first start.
        problem, search_grid: geometry and CSI, and the positions that are searched for echoes.
        second: returns, for scene indices [B'], the node phases [B', n, 1] of the second start, and whether they
            differ from those of the first start, bool [B'].
        correction: near-field correction of the line of sight, the same in every start.
        run: runs one start from node phases.
        settings: number of starts, and margin of consistency.
    """
    best = first
    # if every node has a trusted line of sight, all phases are known and another start finds the same
    agreed = ~isolated_nodes(problem.trusted[..., 0] > 0).any(1)
    generator = torch.Generator().manual_seed(settings.seed)
    for start in range(1, settings.starts):
        enough = agreed | (best.model.correction.extended & (start >= STARTS_IF_EXTENDED))
        consistent = model_selection.consistent(best.model, problem, settings.margin)
        scenes = (~enough & ~consistent).nonzero()[:, 0]
        if len(scenes) == 0:
            break
        part = problem[scenes]
        independent = torch.ones_like(agreed)
        if start == 1:
            phases, independent[scenes] = second(scenes)
        elif start % 2 == 0:  # not independent: near the best phases it often ends in the same local minimum
            phases = near_phases(best.model[scenes], settings.jitter, generator)
            independent = torch.zeros_like(agreed)
        else:
            phases = focused_phases(part, random_phases(part, generator), settings)
        ended = run(part, search_grid[scenes], phases, correction[scenes])
        best, same = better(best, ended, scenes, problem)
        agreed = agreed | (same & independent)
    return best


@torch.no_grad()
def focused_phases(problem: Problem, start: NodePhases, settings: RestartSettings) -> NodePhases:
    """Node phases after autofocus from `start`."""
    search_grid = problem.search_grid(settings.autofocus.spacing)
    return autofocus.focus(problem, start, search_grid, settings.autofocus)[0]


def random_phases(problem: Problem, generator: torch.Generator) -> NodePhases:
    """Random uniform node phases, the same in every scene, so that no scene depends on the others of its batch."""
    zero = NodePhases.zero(problem.link, 1)
    tx, rx = (torch.rand(side.shape[1], 1, generator=generator, dtype=side.dtype) for side in (zero.tx, zero.rx))
    return NodePhases.at_rest(zero.tx + 2 * math.pi * tx.to(zero.tx), zero.rx + 2 * math.pi * rx.to(zero.rx))


def near_phases(model: Model, std: float, generator: torch.Generator) -> NodePhases:
    """Node phases of a model plus Gaussian noise of this standard deviation [rad], the same in every scene."""
    tx, rx = model.sources.tx_phase[..., None], model.sources.rx_phase[..., None]
    noise = [std * torch.randn(side.shape[1], 1, generator=generator, dtype=side.dtype).to(side) for side in (tx, rx)]
    return NodePhases.at_rest(tx + noise[0], rx + noise[1])


def phase_difference(first: NodePhases, second: NodePhases, link: Tensor) -> Tensor:
    """Root mean square difference of the link phases [B], gauge removed, over links [B, n_tx, n_rx] (bool), [rad]."""
    error = link_phase_error(link_phase(first.tx, first.rx), link_phase(second.tx, second.rx), link)
    return (error.square().sum((1, 2, 3)) / link.sum((1, 2))).sqrt()


def better(best: GreedyState, other: GreedyState, scenes: Tensor, problem: Problem) -> tuple[GreedyState, Tensor]:
    """Scene by scene the better of two starts; `other` holds the scenes with the indices `scenes` [B'] only.

    Returns:
        The better starts, and the scenes in which both starts agree, see `agree`, bool [B].
    """
    tried = torch.zeros_like(best.running)
    tried[scenes] = True
    best, other = with_equal_slots(best, place_scenes(other, scenes, best))
    same = tried & agree(best.model, other.model, problem)
    return choose(tried & model_selection.better(other.model, best.model, problem), other, best), same


def agree(first: Model, second: Model, problem: Problem) -> Tensor:
    """Scenes in which two starts found the same scatterers, except negligible ones, and at least one; bool [B]."""
    distance = distances(first.sources.position, second.sources.position)
    both = first.sources.used[:, :, None] & second.sources.used[:, None]
    near = both & (distance < SAME_PLACE * problem.array.wavelength[:, None, None])
    same = first.sources.used.any(1)
    for model, matched in ((first, near.any(2)), (second, near.any(1))):
        echo = torch.where(model.sources.used, model_selection.strength(model, problem), 0)
        same = same & ((echo * ~matched).sum(1) <= NEGLIGIBLE * echo.sum(1))
    return same
