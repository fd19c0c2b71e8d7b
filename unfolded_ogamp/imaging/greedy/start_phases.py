"""Node phases from which starts begin: random, near those of a model, or after autofocus."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy.settings import RestartSettings
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.phases import autofocus
from unfolded_ogamp.imaging.phases.refinement import NodePhases, initial_phases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import isolated_nodes, link_phase, link_phase_error

NEAR_FITTED = 0.1  # share of a turn by which a start deviates from phases that fit a line of sight


def next_phases(
    start: int, best: Model, problem: Problem, generator: torch.Generator, settings: RestartSettings
) -> tuple[NodePhases, Tensor]:
    """Node phases of start number `start`: near those of the best model, or random and autofocused, in turn.

    Returns:
        The phases, and whether the start is independent of the best model, bool [B].
    """
    independent = torch.ones_like(best.cost, dtype=torch.bool)
    if start % 2 == 0:  # not independent: near the best phases it often ends in the same local minimum
        return near_phases(best, settings.jitter, generator), ~independent
    return focused_phases(problem, random_phases(problem, generator), settings), independent


@torch.no_grad()
def focused_phases(problem: Problem, start: NodePhases, settings: RestartSettings) -> NodePhases:
    """Node phases after autofocus from `start`."""
    search_grid = problem.search_grid(settings.autofocus.spacing)
    return autofocus.focus(problem, start, search_grid, settings.autofocus)[0]


def random_phases(problem: Problem, generator: torch.Generator) -> NodePhases:
    """Random uniform node phases, the same in every scene, so that no scene depends on the others of its batch.

    Nodes with a trusted line of sight start near the phases that fit it. A prior of the phases comes first.
    """
    zero = NodePhases.zero(problem.link, 1)
    tx, rx = (torch.rand(side.shape[1], 1, generator=generator, dtype=side.dtype) for side in (zero.tx, zero.rx))
    tx, rx = zero.tx + 2 * math.pi * tx.to(zero.tx), zero.rx + 2 * math.pi * rx.to(zero.rx)
    trusted = problem.trusted[..., 0] > 0
    if trusted.any():
        fitted, n_tx = initial_phases(problem), trusted.shape[1]
        without = isolated_nodes(trusted)[..., None]
        tx = torch.where(without[:, :n_tx], tx, fitted.tx + NEAR_FITTED * tx)
        rx = torch.where(without[:, n_tx:], rx, fitted.rx + NEAR_FITTED * rx)
    if bool(problem.phases_told.any()):
        told, n_tx = problem.phases_told[:, None, None], tx.shape[1]
        uniform = torch.cat([tx, rx], dim=1)
        normal = torch.randn(uniform.shape[1:], generator=generator, dtype=uniform.dtype).to(uniform)
        drawn = torch.where(told, problem.phase_std[..., None] * normal, uniform)
        tx, rx = drawn[:, :n_tx], drawn[:, n_tx:]
    return NodePhases.at_rest(tx, rx)


def near_phases(model: Model, std: float, generator: torch.Generator) -> NodePhases:
    """Node phases of a model plus Gaussian noise of this standard deviation [rad], the same in every scene."""
    tx, rx = model.sources.tx_phase[..., None], model.sources.rx_phase[..., None]
    noise = [std * torch.randn(side.shape[1], 1, generator=generator, dtype=side.dtype).to(side) for side in (tx, rx)]
    return NodePhases.at_rest(tx + noise[0], rx + noise[1])


def phase_difference(first: NodePhases, second: NodePhases, link: Tensor) -> Tensor:
    """Root mean square difference of the link phases [B], gauge removed, over links [B, n_tx, n_rx] (bool), [rad]."""
    error = link_phase_error(link_phase(first.tx, first.rx), link_phase(second.tx, second.rx), link)
    return (error.square().sum((1, 2, 3)) / link.sum((1, 2))).sqrt()
