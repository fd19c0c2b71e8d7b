"""Starts from other node phases for the scenes that are not settled yet, as a batch, and which start is the best."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy import rounds
from unfolded_ogamp.imaging.greedy.rounds import GreedyState
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.phases import autofocus
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import distances, isolated_nodes, link_phase, link_phase_error
from unfolded_ogamp.records import choose

SAME_PLACE = 0.05  # wavelengths between the scatterers of two starts that agree
STARTS_WITH_SIZE = 6  # more are not worth their time where no residual can be as low as the noise
NEGLIGIBLE = 0.01  # share of the power of all scatterers that two starts may not agree on

Run = Callable[[Problem, SearchGrid, NodePhases], GreedyState]
Second = Callable[[Tensor], tuple[NodePhases, Tensor]]


def search(
    best: GreedyState,
    problem: Problem,
    search_grid: SearchGrid,
    second: Second,
    run: Run,
    settings: GreedySettings,
    starts: int,
) -> GreedyState:
    """The best of up to `starts` starts of every scene; a scene whose residual is what the noise allows is settled.

    After the second start they are by turns near the best one so far, and from uniform phases that autofocus improves.
    Where the noise is not known, or the model does not fit, a scene is settled when two independent starts end in the
    same place.

    Args:
        best: the end of the first start.
        problem, search_grid: what is to be explained, and where echoes are looked for.
        second: node phases [B', n, 1] of the second start of some scenes [B'], and where they are others, bool [B'].
        run: one start from node phases to its end.
        settings: what counts as settled.
        starts: largest number of starts, the first included.
    """
    # where every node has a trusted line of sight its phase is told, and another start finds the same
    agreed = ~isolated_nodes(problem.trusted[..., 0] > 0).any(1)
    generator = torch.Generator().manual_seed(settings.seed)
    for start in range(1, starts):
        enough = agreed | (best.sized & (start >= STARTS_WITH_SIZE))
        scenes = (~enough & ~settled(best, problem, settings)).nonzero()[:, 0]
        if len(scenes) == 0:
            break
        part = problem[scenes]
        independent = torch.ones_like(agreed)
        if start == 1:
            phases, independent[scenes] = second(scenes)
        elif start % 2 == 0:  # near the best one it ends where that did, trap or not
            phases = near_phases(best[scenes].joint.sources, settings.jitter, generator)
            independent = torch.zeros_like(agreed)
        else:
            phases = focused_phases(part, random_phases(part, generator), settings)
        best, same = better(best, run(part, search_grid[scenes], phases), scenes, problem)
        agreed = agreed | (same & independent)
    return best


def settled(state: GreedyState, problem: Problem, settings: GreedySettings) -> Tensor:
    """Scenes whose residual is what the noise allows, bool [B]; none where the noise is not known."""
    return model_selection.excess(state.joint, problem) <= settings.margin


def criterion(state: GreedyState, problem: Problem) -> Tensor:
    """Bayesian information criterion [B] of everything that is fitted."""
    return model_selection.criterion(state.joint, rounds.seen(state, problem))


@torch.no_grad()
def focused_phases(problem: Problem, given: NodePhases, settings: GreedySettings) -> NodePhases:
    """The node phases that autofocus makes of those that are given."""
    return autofocus.focus(problem, given, problem.search_grid(settings.autofocus.spacing), settings.autofocus)[0]


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


def apart(first: NodePhases, second: NodePhases, link: Tensor) -> Tensor:
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
    best, other = rounds.as_many_slots(best, rounds.place_sources(other, scenes, best))
    same = tried & agree(best.joint, other.joint, problem)
    before, after = criterion(best, problem), criterion(other, problem)
    return choose(tried & ((after < before) | before.isnan()), other, best), same


def agree(first: JointState, second: JointState, problem: Problem) -> Tensor:
    """Whether two starts have found the same scatterers, but for some of next to no power, and any: bool [B]."""
    distance = distances(first.sources.position, second.sources.position)
    both = first.sources.used[:, :, None] & second.sources.used[:, None]
    near = both & (distance < SAME_PLACE * problem.array.wavelength[:, None, None])
    same = first.sources.used.any(1)
    for state, matched in ((first, near.any(2)), (second, near.any(1))):
        echo = torch.where(state.sources.used, model_selection.strength(state.sources, problem), 0)
        same = same & ((echo * ~matched).sum(1) <= NEGLIGIBLE * echo.sum(1))
    return same
