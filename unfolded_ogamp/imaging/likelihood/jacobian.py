"""The Jacobian of the model with respect to all unknowns, nodes and moments included.

A node changes its own links only, so that its columns are stored on these links. The unknowns are, in this order:

- of the image: positions, coordinate by coordinate, real parts, then imaginary parts of the reflectivities, real parts,
  then imaginary parts of the moments, source by source, and those of the coupling, if there are moments;
- of every Tx: phase, shift, level; then the same of every Rx.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.imaging import moments
from unfolded_ogamp.imaging.model import Model, line_of_sight
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import amplitude_rate, distances, unit_vectors
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Jacobian(Record):
    """Derivatives of the channel, times the roots of the weights of the links.

    Attributes:
        image: by the unknowns of the image, complex [B, n_tx, n_rx, K, I].
        tx, rx: by phase, shift and level of the Tx, and of the Rx, of every link, complex [B, n_tx, n_rx, K, D + 2].
    """

    image: Tensor
    tx: Tensor
    rx: Tensor

    def matched(self, residual: Tensor) -> Tensor:
        """Real part of J^H r for a residual [B, n_tx, n_rx, K]: [B, P]."""
        image, tx, rx = self._real()
        value = _parts(residual[..., None])
        of_image = (image * value).sum((1, 2, 3))
        of_tx, of_rx = (tx * value).sum((2, 3)), (rx * value).sum((1, 3))
        return torch.cat([of_image, of_tx.flatten(1), of_rx.flatten(1)], dim=1)

    def normal_matrix(self) -> Tensor:
        """Real part of J^H J [B, P, P]."""
        image, tx, rx = self._real()
        flat = image.flatten(1, 3)
        by_tx, by_rx = tx.flatten(2, 3), rx.movedim(2, 1).flatten(2, 3)  # [B, n, links of the node, D + 2]
        image_tx = image.flatten(2, 3).mT @ by_tx
        image_rx = image.movedim(2, 1).flatten(2, 3).mT @ by_rx
        cross = torch.einsum("bijkp,bijkq->bipjq", tx, rx).flatten(3, 4).flatten(1, 2)
        of_image = image_tx.movedim(1, 2).flatten(2), image_rx.movedim(1, 2).flatten(2)
        of_tx, of_rx = (_block_diagonal(side.mT @ side) for side in (by_tx, by_rx))
        rows = [
            torch.cat([flat.mT @ flat, *of_image], dim=2),
            torch.cat([of_image[0].mT, of_tx, cross], dim=2),
            torch.cat([of_image[1].mT, cross.mT, of_rx], dim=2),
        ]
        return torch.cat(rows, dim=1)

    def of_node(self, side: int) -> Tensor:
        """Which unknowns belong to every Tx (side 0) or Rx (side 1): bool [n, P]."""
        n_tx, n_rx, per_node, n_image = *self.tx.shape[1:3], self.tx.shape[-1], self.image.shape[-1]
        node = torch.arange(n_tx + n_rx, device=self.tx.device).repeat_interleave(per_node)
        owner = torch.cat([node.new_full((n_image,), -1), node])
        first, count = (0, n_tx) if side == 0 else (n_tx, n_rx)
        return owner == torch.arange(first, first + count, device=owner.device)[:, None]

    def written_out(self) -> Tensor:
        """All columns on all links: complex [B, n_tx, n_rx, K, P]."""
        return torch.cat([self.image, _of_side(self.tx, 1), _of_side(self.rx, 2)], dim=-1)

    def _real(self) -> tuple[Tensor, Tensor, Tensor]:
        """The parts with real and imaginary samples as 2 K real ones."""
        return _parts(self.image), _parts(self.tx), _parts(self.rx)


def jacobian(model: Model, problem: Problem) -> Jacobian:
    """The Jacobian at a model; double scattering, a small part of the channel, counts as that of fixed sources."""
    sources, channel = model.sources, model.channel
    points, value, at_tx, at_rx = _per_link(model, problem)
    image = [(at_tx + at_rx).flatten(-2), value, 1j * value]
    if sources.moment.shape[-1]:
        monomials = moments.series(sources.nodes.moved(problem.array), sources.position)
        of_moments = ((points * sources.reflectivity[:, None, None, None])[..., None] * monomials).flatten(-2)
        array, link = sources.nodes.moved(problem.array), problem.link
        double = moments.double_echoes(array, model.columns, sources.position, sources.reflectivity) * link
        image += [of_moments, 1j * of_moments, double[..., None], 1j * double[..., None]]
    # a node that moves away from a scatterer has the effect of the scatterer moving away from the node
    tx, rx = -at_tx.sum(-1), -at_rx.sum(-1)
    level, slope = _line_of_sight(model, problem)
    turn = -1j * channel[..., None]
    return Jacobian(
        image=torch.cat(image, dim=-1),
        tx=torch.cat([turn, tx - slope, level[..., None]], dim=-1),
        rx=torch.cat([-turn, rx + slope, level[..., None]], dim=-1),
    )


def phase_jacobian(channel: Tensor) -> Tensor:
    """Derivatives by the node phases of a channel [B, n_tx, n_rx, K]: complex [B, n_tx, n_rx, K, nodes], Tx first.

    As in `normal_matrix`, the predicted channel replaces the CSI, which the phases rotate.
    """
    return torch.cat([_of_side(-1j * channel[..., None], 1), _of_side(1j * channel[..., None], 2)], dim=-1)


def _per_link(model: Model, problem: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Columns on every link, and their derivatives by the ends of both ways.

    Returns:
        The columns of points, and of the reflectivities [B, n_tx, n_rx, K, S]; derivatives of the channel of every
        source by its position along the path from Tx, and along that to Rx [B, n_tx, n_rx, K, D, S].
    """
    sources, columns, link = model.sources, model.columns, problem.link[..., None]
    tx, rx = columns.plain()
    at_tx = (columns.tx[:, :, :, None, 1:] * rx[:, :, None, :, None]).movedim(1, 3)
    at_rx = (tx[:, :, :, None, None] * columns.rx[:, :, None, :, 1:]).movedim(1, 3)
    points = moments.written_out(columns) * link
    reflectivity = sources.reflectivity[:, None, None, None]
    if not sources.moment.shape[-1]:
        weight = (reflectivity * link)[..., None, :]
        return points, points, at_tx * weight, at_rx * weight
    array = sources.nodes.moved(problem.array)
    directivity, slope = moments.directivity(array, sources.position, sources.moment)
    weight = (reflectivity * (1 + directivity) * link)[..., None, :]
    # an extended target seen from another direction has another reflectivity
    turn_tx, turn_rx = moments.turns(array, sources.position)
    echo = (points * reflectivity)[..., None, :]
    turned_tx = torch.einsum("bijkas,badkis->bijkds", slope, turn_tx.to(slope)) * echo
    turned_rx = torch.einsum("bijkas,badkjs->bijkds", slope, turn_rx.to(slope)) * echo
    return points, points * (1 + directivity), at_tx * weight + turned_tx, at_rx * weight + turned_rx


def _line_of_sight(model: Model, problem: Problem) -> tuple[Tensor, Tensor]:
    """Derivatives of the channel by the level of a node, and of the line of sight by the position of the Tx.

    A line of sight that is not that of free space was measured with the nodes where they are: it does not depend on
    their unknowns.

    Returns:
        [B, n_tx, n_rx, K]; [B, n_tx, n_rx, K, D], with the minus sign of a scatterer's.
    """
    dimension = model.sources.position.shape[-1]
    if not bool(problem.has_los.any()):
        return model.channel, model.channel.new_zeros(*model.channel.shape, dimension)
    los = line_of_sight(model.sources, problem) * problem.link
    moves, array = problem.los_is_free_space[:, None, None, None], model.sources.nodes.moved(problem.array)
    rate = -1j * array.wavenumber[:, None, None] + amplitude_rate(array, distances(array.tx, array.rx))[..., None]
    direction = unit_vectors(array.tx, array.rx).movedim(1, -1)[:, :, :, None]
    slope = torch.where(moves & (los != 0), los * rate, 0)[..., None] * direction
    return torch.where(moves, model.channel, model.channel - los), slope


def _of_side(derivative: Tensor, axis: int) -> Tensor:
    """Columns of every node of one side, the axis 1 or 2, from derivatives on its links: [B, n_tx, n_rx, K, n C].

    Args:
        derivative: by the C unknowns of the node of that side, complex [B, n_tx, n_rx, K, C].
        axis: 1 for Tx, 2 for Rx.
    """
    own = torch.eye(derivative.shape[axis]).to(derivative)
    own = own[:, None, None, :, None] if axis == 1 else own[None, :, None, :, None]
    return (derivative[..., None, :] * own).flatten(-2)


def _parts(value: Tensor) -> Tensor:
    """Real and imaginary parts of [B, n_tx, n_rx, K, C] as real samples: [B, n_tx, n_rx, 2 K, C]."""
    return torch.cat([value.real, value.imag], dim=3)


def _block_diagonal(blocks: Tensor) -> Tensor:
    """The matrix [B, n C, n C] with blocks [B, n, C, C] on its diagonal."""
    count = blocks.shape[1]
    own = torch.eye(count).to(blocks)[:, None, :, None]
    return (blocks[:, :, :, None] * own).flatten(3, 4).flatten(1, 2)
