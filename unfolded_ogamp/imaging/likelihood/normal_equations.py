"""The likelihood of point scatterers and node phases: residual, gradient and normal equations.

With every link measured the image part of the normal matrix is a sum of products of Gram matrices of Tx and of Rx, for
which the Jacobian, links times unknowns, is not needed. The unknowns are in the order positions, coordinate by
coordinate, real and imaginary parts of the reflectivities, Tx phases, Rx phases.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.operators.points import PointColumns
from unfolded_ogamp.physics import laplacian


def residual(sources: Sources, problem: Problem, columns: PointColumns) -> tuple[Tensor, Tensor]:
    """Residual y exp(j Phi) - h and modelled channel h, line of sight included, [B, n_tx, n_rx, K] each."""
    channel = (columns.channel(sources.reflectivity) + problem.los + problem.correction) * problem.link
    return problem.csi * sources.rotation - channel, channel


def power(value: Tensor) -> Tensor:
    """Sum of |value|^2 [B] of [B, n_tx, n_rx, K]."""
    return (value.real.square() + value.imag.square()).sum((1, 2, 3))


def gradient(sources: Sources, columns: PointColumns, difference: Tensor, channel: Tensor) -> Tensor:
    """Real part of J^H r [B, P], J the Jacobian of the model with respect to the unknowns; P = S (D + 2) + nodes."""
    image = _weights(sources).conj() * columns.matched(difference)
    # d model / d phi_tx = -j h on the links of that Tx and + j h on those of that Rx
    turn = (channel.conj() * difference).imag.sum(-1)
    return torch.cat([_of_unknowns(image.real, image.imag, columns.n_slots), -turn.sum(2), turn.sum(1)], dim=1)


def normal_matrix(sources: Sources, problem: Problem, columns: PointColumns, channel: Tensor) -> Tensor:
    """Real part of J^H J [B, P, P], in the order of `gradient`."""
    weights, n_slots = _weights(sources), columns.n_slots
    gram = weights.conj()[:, :, None] * columns.gram(problem.link) * weights[:, None]
    at_tx, at_rx = columns.correlations(channel)
    cross = torch.cat([-at_tx, at_rx], dim=1) * weights[:, None]
    turned = _of_unknowns(cross.imag, cross.real, n_slots)
    link_power = (channel.real.square() + channel.imag.square()).sum(-1)
    value, slopes = slice(None, n_slots), slice(n_slots, None)
    rows = [
        _of_unknowns(gram.real[:, slopes], -gram.imag[:, slopes], n_slots),
        _of_unknowns(gram.real[:, value], -gram.imag[:, value], n_slots),
        _of_unknowns(gram.imag[:, value], gram.real[:, value], n_slots),
    ]
    image = torch.cat(rows, dim=1)
    return torch.cat([torch.cat([image, turned.mT], dim=2), torch.cat([turned, laplacian(link_power)], dim=2)], dim=1)


def jacobian(sources: Sources, problem: Problem, columns: PointColumns, channel: Tensor) -> Tensor:
    """The Jacobian itself, for those who project it, links and subcarriers flattened: [B, n_tx * n_rx * K, P]."""
    image = columns.written_out(problem.link).movedim(1, 3) * _weights(sources)[:, None, None, None]
    image = _of_unknowns(image, 1j * image, columns.n_slots)
    return torch.cat([image, turns(channel)], dim=-1).flatten(1, 3)


def turns(channel: Tensor) -> Tensor:
    """Derivatives of the modelled channel [B, n_tx, n_rx, K] by the phases of Tx and of Rx: [B, n_tx, n_rx, K, nodes].

    As `normal_matrix` has them: phases turn the CSI, which is the channel but for its noise.
    """
    tx, rx = (torch.eye(count).to(channel) for count in channel.shape[1:3])
    turned = -1j * channel[..., None]
    return torch.cat([turned * tx[:, None, None], -turned * rx[:, None]], dim=-1)


def unknowns_in_play(sources: Sources, move_phases: Tensor) -> Tensor:
    """Which unknowns move, bool [B, P]: positions, real and imaginary reflectivities, Tx phases, Rx phases."""
    used, dimension = sources.used, sources.position.shape[-1]
    nodes = sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    return torch.cat([used.repeat(1, dimension + 2), move_phases[:, None].expand(-1, nodes)], dim=1)


def _weights(sources: Sources) -> Tensor:
    """What the columns and their derivatives are multiplied by in the Jacobian: 1 and reflectivity; [B, (1 + D) S]."""
    x = sources.reflectivity
    return torch.cat([torch.ones_like(x), x.repeat(1, sources.position.shape[-1])], dim=1)


def _of_unknowns(value: Tensor, turned: Tensor, n_slots: int) -> Tensor:
    """PointColumns [..., (1 + D) S] in the order of the unknowns [..., (D + 2) S]; `turned` is j times as much."""
    return torch.cat([value[..., n_slots:], value[..., :n_slots], turned[..., :n_slots]], dim=-1)
