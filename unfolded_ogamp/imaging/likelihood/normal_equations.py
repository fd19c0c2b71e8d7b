"""The normal equations of positions, reflectivities and node phases together.

If every link is measured, the image part of the normal matrix is a sum of products of Gram matrices of Tx and Rx, and
the Jacobian (links times unknowns) is never formed. The P = S (D + 2) + nodes unknowns are, in this order: positions,
coordinate by coordinate, real parts, then imaginary parts of the reflectivities, Tx phases, Rx phases.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import laplacian


def gradient(model: Model, problem: Problem) -> Tensor:
    """Real part of J^H r [B, P], J the Jacobian of the model with respect to the unknowns."""
    image = _weights(model.sources).conj() * model.columns.matched(model.residual * problem.link)
    # d model / d phi_tx = -j h on the links of that Tx and + j h on those of that Rx
    turn = (model.channel.conj() * model.residual).imag.sum(-1)
    of_image = _of_unknowns(image.real, image.imag, model.columns.n_slots)
    return torch.cat([of_image, -turn.sum(2), turn.sum(1)], dim=1)


def normal_matrix(model: Model, problem: Problem) -> Tensor:
    """Real part of J^H J [B, P, P], in the order of `gradient`."""
    columns, channel = model.columns, model.channel
    weights, n_slots = _weights(model.sources), columns.n_slots
    gram = weights.conj()[:, :, None] * columns.gram(problem.link) * weights[:, None]
    at_tx, at_rx = columns.correlations(channel * problem.link)
    cross = torch.cat([-at_tx, at_rx], dim=1) * weights[:, None]
    turned = _of_unknowns(cross.imag, cross.real, n_slots)
    link_power = (channel.real.square() + channel.imag.square()).sum(-1)
    nodes = laplacian(link_power)
    value, slopes = slice(None, n_slots), slice(n_slots, None)
    rows = [
        _of_unknowns(gram.real[:, slopes], -gram.imag[:, slopes], n_slots),
        _of_unknowns(gram.real[:, value], -gram.imag[:, value], n_slots),
        _of_unknowns(gram.imag[:, value], gram.real[:, value], n_slots),
    ]
    image = torch.cat(rows, dim=1)
    return torch.cat([torch.cat([image, turned.mT], dim=2), torch.cat([turned, nodes], dim=2)], dim=1)


def free_unknowns(sources: Sources, free_phases: Tensor) -> Tensor:
    """Free unknowns, bool [B, P]: those of used slots, and the node phases of the scenes `free_phases` [B]."""
    used, dimension = sources.used, sources.position.shape[-1]
    nodes = sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    return torch.cat([used.repeat(1, dimension + 2), free_phases[:, None].expand(-1, nodes)], dim=1)


def _weights(sources: Sources) -> Tensor:
    """Weights of the columns (1) and their derivatives (reflectivity) in the Jacobian: complex [B, (1 + D) S]."""
    x = sources.reflectivity
    return torch.cat([torch.ones_like(x), x.repeat(1, sources.position.shape[-1])], dim=1)


def _of_unknowns(value: Tensor, turned: Tensor, n_slots: int) -> Tensor:
    """Reorder columns [..., (1 + D) S] to the unknowns [..., (D + 2) S]; `turned` belongs to the imaginary parts."""
    return torch.cat([value[..., n_slots:], value[..., :n_slots], turned[..., :n_slots]], dim=-1)
