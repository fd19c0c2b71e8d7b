"""Restarts: scenes whose residual exceeds the noise start again, from other node phases; the best start stays."""

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

SAME_PLACE = 0.05  # wavelengths between the scatterers of two starts that agree
STARTS_IF_EXTENDED = 6  # more are not worth their time where no residual can be as low as the noise
NEGLIGIBLE = 0.01  # share of the power of all scatterers that two starts may not agree on

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
    """The best of several starts of every scene; a scene is done when its residual is consistent with the noise.

    After the second start they are by turns near the best one so far, and from uniform phases that autofocus improves.
    Where the noise is not known, or the model does not fit, a scene is done when two independent starts agree.

    Args:
        first: the end of the first start.
        problem, search_grid: what is to be explained, and where echoes are searched.
        second: node phases [B', n, 1] of the second start of some scenes [B'], and where they are others than those of
            the first, bool [B'].
        correction: of the line of sight, with which every start begins.
        run: one start from node phases to its end.
        settings: how many starts, and what is consistent.
    """
    best = first
    # where every node has a trusted line of sight its phase is known, and another start finds the same
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
        elif start % 2 == 0:  # near the best one it ends where that did, trap or not
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
    """The node phases that autofocus makes of those to start from."""
    search_grid = problem.search_grid(settings.autofocus.spacing)
    return autofocus.focus(problem, start, search_grid, settings.autofocus)[0]


def random_phases(problem: Problem, generator: torch.Generator) -> NodePhases:
    """Uniform node phases, the same in every scene, so that none depends on what else is in the batch."""
    zero = NodePhases.zero(problem.link, 1)
    tx, rx = (torch.rand(side.shape[1], 1, generator=generator, dtype=side.dtype) for side in (zero.tx, zero.rx))
    return NodePhases.at_rest(zero.tx + 2 * math.pi * tx.to(zero.tx), zero.rx + 2 * math.pi * rx.to(zero.rx))


def near_phases(model: Model, std: float, generator: torch.Generator) -> NodePhases:
    """The node phases of a model, and noise of this standard deviation [rad], the same in every scene."""
    tx, rx = model.sources.tx_phase[..., None], model.sources.rx_phase[..., None]
    noise = [std * torch.randn(side.shape[1], 1, generator=generator, dtype=side.dtype).to(side) for side in (tx, rx)]
    return NodePhases.at_rest(tx + noise[0], rx + noise[1])


def phase_difference(first: NodePhases, second: NodePhases, link: Tensor) -> Tensor:
    """Root mean square difference of the link phases [B], gauge removed, over links [B, n_tx, n_rx] (bool), [rad]."""
    error = link_phase_error(link_phase(first.tx, first.rx), link_phase(second.tx, second.rx), link)
    return (error.square().sum((1, 2, 3)) / link.sum((1, 2))).sqrt()


def better(best: GreedyState, other: GreedyState, scenes: Tensor, problem: Problem) -> tuple[GreedyState, Tensor]:
    """Scene by scene the better of two starts, of which the second was made for `scenes` [B'] alone.

    Returns:
        The better ones, and the scenes in which both found something and ended in the same place, bool [B].
    """
    tried = torch.zeros_like(best.running)
    tried[scenes] = True
    best, other = with_equal_slots(best, place_scenes(other, scenes, best))
    same = tried & agree(best.model, other.model, problem)
    return choose(tried & model_selection.better(other.model, best.model, problem), other, best), same


def agree(first: Model, second: Model, problem: Problem) -> Tensor:
    """Whether two starts have found the same scatterers, but for some of next to no power, and any: bool [B]."""
    distance = distances(first.sources.position, second.sources.position)
    both = first.sources.used[:, :, None] & second.sources.used[:, None]
    near = both & (distance < SAME_PLACE * problem.array.wavelength[:, None, None])
    same = first.sources.used.any(1)
    for model, matched in ((first, near.any(2)), (second, near.any(1))):
        echo = torch.where(model.sources.used, model_selection.strength(model, problem), 0)
        same = same & ((echo * ~matched).sum(1) <= NEGLIGIBLE * echo.sum(1))
    return same
