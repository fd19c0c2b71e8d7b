"""The Jacobian of the model with respect to all unknowns, nodes and moments included, written out on every link.

The unknowns are those of `normal_equations`, then, if they are asked for, the shifts of Tx and Rx, node by node, their
levels, and real and imaginary parts of the moments, source by source.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging import moments
from unfolded_ogamp.imaging.model import Model, line_of_sight
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import amplitude_rate, distances, unit_vectors


def jacobian(model: Model, problem: Problem, nodes: bool) -> Tensor:
    """The Jacobian, links and subcarriers flattened: complex [B, n_tx * n_rx * K, P], with the weights of the links.

    Args:
        model: where the unknowns are.
        problem: geometry and weights.
        nodes: whether shifts and levels of the nodes are unknowns.
    """
    sources = model.sources
    value, at_tx, at_rx = _per_link(model, problem)
    parts = [(at_tx + at_rx).flatten(-2), value, 1j * value, phase_jacobian(model.channel)]
    if nodes:
        parts += _of_nodes(model, problem, at_tx.sum(-1), at_rx.sum(-1))
    if sources.moment.shape[-1]:
        monomials = moments.series(sources.nodes.moved(problem.array), sources.position)
        of_moments = (value[..., None] * monomials).flatten(-2)
        parts += [of_moments, 1j * of_moments]
    return torch.cat(parts, dim=-1).flatten(1, 3)


def phase_jacobian(channel: Tensor) -> Tensor:
    """Derivatives by the node phases of a channel [B, n_tx, n_rx, K]: complex [B, n_tx, n_rx, K, nodes], Tx first.

    As in `normal_matrix`, the predicted channel replaces the CSI, which the phases rotate.
    """
    return torch.cat([_of_side(-1j * channel[..., None], 1), _of_side(1j * channel[..., None], 2)], dim=-1)


def _per_link(model: Model, problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Columns on every link [B, n_tx, n_rx, K, S], and their parts x T' R and x T R' [B, n_tx, n_rx, K, D, S]."""
    sources, columns, link = model.sources, model.columns, problem.link[..., None]
    reflectivity = sources.reflectivity[:, None, None, None]
    if sources.moment.shape[-1]:
        monomials = moments.series(sources.nodes.moved(problem.array), sources.position)
        reflectivity = reflectivity + torch.einsum("bijksm,bsm->bijks", monomials.to(sources.moment), sources.moment)
    reflectivity = (reflectivity * link)[..., None, :]
    tx, rx = columns.plain()
    at_tx = columns.tx[:, :, :, None, 1:] * rx[:, :, None, :, None]
    at_rx = tx[:, :, :, None, None] * columns.rx[:, :, None, :, 1:]
    value = moments.written_out(columns) * link
    return value, at_tx.movedim(1, 3) * reflectivity, at_rx.movedim(1, 3) * reflectivity


def _of_nodes(model: Model, problem: Problem, at_tx: Tensor, at_rx: Tensor) -> list[Tensor]:
    """Derivatives by the shifts and levels of Tx and Rx, from those by the ends of all paths [B, n_tx, n_rx, K, D]."""
    # a node that moves away from a scatterer has the effect of the scatterer moving away from the node
    tx, rx, channel = -at_tx, -at_rx, model.channel
    los = line_of_sight(model.sources, problem) * problem.link
    moves = problem.los_is_free_space[:, None, None, None]
    if bool(moves.any()):
        array = model.sources.nodes.moved(problem.array)
        rate = -1j * array.wavenumber[:, None, None] + amplitude_rate(array, distances(array.tx, array.rx))[..., None]
        direction = unit_vectors(array.tx, array.rx).movedim(1, -1)[:, :, :, None]
        slope = torch.where(moves & (los != 0), los * rate, 0)[..., None] * direction
        tx, rx = tx - slope, rx + slope
    moved = torch.where(moves, channel, channel - los)[..., None]
    return [_of_side(tx, 1), _of_side(rx, 2), _of_side(moved, 1), _of_side(moved, 2)]


def _of_side(derivative: Tensor, axis: int) -> Tensor:
    """Columns of every node of one side, the axis 1 or 2, from derivatives on its links: [B, n_tx, n_rx, K, n C].

    Args:
        derivative: by the C unknowns of the node of that side, complex [B, n_tx, n_rx, K, C].
        axis: 1 for Tx, 2 for Rx.
    """
    own = torch.eye(derivative.shape[axis]).to(derivative)
    own = own[:, None, None, :, None] if axis == 1 else own[None, :, None, :, None]
    return (derivative[..., None, :] * own).flatten(-2)
