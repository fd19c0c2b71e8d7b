"""From separated scatterers to positions within a wavelength: the phases of one scatterer calibrate the nodes.

The amplitude fit gives positions to about a wavelength. In a window around its position, every point of one scatterer,
the anchor, gives all node phases from its separated columns. At these phases, the columns of every other scatterer show
its position in its own window. The best points are those at which all columns agree with their positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Self

import torch
from torch import Tensor

from unfolded_ogamp.imaging.blind.amplitudes import Factors, Fit, covariance, misfit
from unfolded_ogamp.physics import distances, phasor
from unfolded_ogamp.records import Record
from unfolded_ogamp.settings import Settings, at_least, positive

STRETCH = 2.0  # largest factor on the distance between points of a large window
LARGEST_BOX = 2**20  # points of a lattice before its corners are cut off
LATTICE_VARIANCE = 0.1  # of a phase between neighbouring points of a window, [rad^2]
PAIRS_AT_ONCE = 2**19  # pairs of points that fit into a processor's cache


@dataclass(frozen=True)
class WindowSettings(Settings):
    """Settings of the windows around the positions of the amplitude fit.

    Attributes:
        radius: in standard deviations.
        anchor_spacing, spacing: distance between the points of the anchor, and of the others, in wavelengths; up to
            `STRETCH` times as much in large windows.
        points: largest number of points of the anchor.
        pairs: largest number of their pairs with points of the others.
    """

    radius: Annotated[float, positive] = 3.5
    anchor_spacing: Annotated[float, positive] = 0.25
    spacing: Annotated[float, positive] = 0.2
    points: Annotated[int, at_least(1)] = 400
    pairs: Annotated[int, at_least(1)] = 2**23

    def enlarged(self, factor: int) -> Self:
        """Windows with `factor` times as many points in that of the anchor, and as many in each of the others."""
        further = self.radius + 0.5 * (factor - 1)
        return replace(self, radius=further, points=factor * self.points, pairs=factor * self.pairs)


@dataclass(frozen=True)
class Placed(Record):
    """Positions and node phases that agree with the separated columns; Q is the number of placements.

    Attributes:
        position: [Q, S, D], [m].
        tx_phase, rx_phase: [Q, n_tx], [Q, n_rx], [rad].
        loss: negative logarithm of their likelihood, up to a constant [Q].
    """

    position: Tensor
    tx_phase: Tensor
    rx_phase: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Side:
    """One side of the array in one fit.

    Attributes:
        nodes: [n, D], [m].
        phase: phases of the separated columns [n, S], [rad].
        variance: of these phases [n, S], [rad^2].
    """

    nodes: Tensor
    phase: Tensor
    variance: Tensor


def place(fit: Fit, factors: Factors, wavenumber: Tensor, settings: WindowSettings) -> Placed:
    """The points of the anchor's window, each with the best points of the other scatterers.

    Args:
        fit: one amplitude fit, weighted by the noise; a batch of one.
        factors: factors of the links' matrix.
        wavenumber: of the matrix, a number [rad/m].
        settings: size of the windows.
    """
    spread, position = covariance(fit, factors)[0], fit.separation.position[0]
    n_slots, wavelength = len(position), 2 * math.pi / float(wavenumber)
    sides = sides_of(fit, factors)
    anchor = int(torch.linalg.det(spread).argmin())
    anchors, share = window(
        position[anchor], spread[anchor] * settings.radius**2, settings.anchor_spacing * wavelength, settings.points
    )
    loss = share * settings.radius**2 / 2
    best, others = [anchors] * n_slots, 1 + settings.pairs // (len(anchors) * (n_slots - 1))
    for other in (slot for slot in range(n_slots) if slot != anchor):
        points, share = window(
            position[other], spread[other] * settings.radius**2, settings.spacing * wavelength, others
        )
        added, index = match(anchors, points, share * settings.radius**2 / 2, sides, wavenumber, (anchor, other))
        loss, best[other] = loss + added, points[index]
    return Placed(torch.stack(best, dim=1), *node_phases(sides, anchor, anchors, wavenumber), loss)


def node_phases(sides: tuple[Side, Side], slot: int, points: Tensor, wavenumber: Tensor) -> tuple[Tensor, Tensor]:
    """Node phases [Q, n_tx], [Q, n_rx] [rad] if the scatterer in `slot` is at these points [Q, D], [m]."""
    tx, rx = (side.phase[:, slot] + wavenumber * distances(side.nodes, points).mT for side in sides)
    return -tx, rx


def sides_of(fit: Fit, factors: Factors) -> tuple[Side, Side]:
    """Both sides of the array, with the phases of one fit."""
    separation = fit.separation
    columns = separation.columns(factors)
    excess = misfit(fit, factors).sqrt()[:, None]
    deviations = excess / fit.tx_weight, excess * separation.strength.exp() / fit.rx_weight
    tx, rx = (
        Side(nodes[0], column[0].angle(), (deviation / column[0].abs()).square())
        for (nodes, _), column, deviation in zip(factors.array.sides, columns, deviations, strict=True)
    )
    return tx, rx


def window(centre: Tensor, shape: Tensor, spacing: float, limit: int) -> tuple[Tensor, Tensor]:
    """Points of a lattice in an ellipse or ellipsoid, and their squared distances from its centre; 1 at its edge.

    Args:
        centre: [D], [m].
        shape: covariance times the squared radius of the window [D, D], [m^2].
        spacing: of the lattice, [m]; up to `STRETCH` times as much where there would be too many points.
        limit: largest number of points; the innermost ones are kept.

    Returns:
        [Q, D] [m], [Q] in [0, 1].
    """
    dimension = len(centre)
    # at least the neighbours, however well the amplitudes determine the position
    shape = shape + spacing**2 * dimension * torch.eye(dimension).to(shape)
    ball = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)
    count = ball * float(torch.linalg.det(shape)) ** 0.5 / spacing**dimension
    spacing *= min(max((count / limit) ** (1 / dimension), 1.0), STRETCH)
    reach = (shape.diagonal().sqrt() / spacing).ceil().clamp(max=LARGEST_BOX ** (1 / dimension) / 2).int().tolist()
    axes = [torch.arange(-count, count + 1).to(centre) * spacing for count in reach]
    offset = torch.cartesian_prod(*axes)
    share = (offset @ torch.linalg.inv(shape) * offset).sum(1)
    share, order = share.sort()
    order = order[share <= 1][:limit]
    return centre + offset[order], share[: len(order)]


def match(
    anchors: Tensor, points: Tensor, far: Tensor, sides: tuple[Side, Side], wavenumber: Tensor, slots: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The best point of another scatterer for each point of the anchor.

    Args:
        anchors, points: [Q, D], [Q', D], [m].
        far: loss of every point by itself [Q'].
        sides: both sides of the array.
        wavenumber: a number [rad/m].
        slots: numbers of the anchor and of the other scatterer.

    Returns:
        Losses [Q] and indices of the best points [Q].
    """
    factors, total = [], far.new_zeros(())
    for side in sides:
        anchor, other = (side.phase[:, slot] for slot in slots)
        weight = (side.variance[:, slots].sum(1) + LATTICE_VARIANCE).reciprocal()
        at_anchor = phasor(wavenumber * distances(side.nodes, anchors) + (anchor - other)[:, None]) * weight[:, None]
        at_point = phasor(wavenumber * distances(side.nodes, points))
        factors.append((_rows(at_anchor.conj()).mT, _columns(at_point)))
        total = total + weight.sum()
    chunk = max(1, PAIRS_AT_ONCE // len(points))
    losses, indices = [], []
    for part in range(0, len(anchors), chunk):
        value = far.float()
        for at_anchor, at_point in factors:
            real, imaginary = (at_anchor[part : part + chunk] @ at_point).chunk(2, dim=1)
            value = value - real.mul_(real).addcmul_(imaginary, imaginary).sqrt_()
        loss, index = value.min(1)
        losses.append(loss)
        indices.append(index)
    return total + torch.cat(losses).to(far), torch.cat(indices)


def distinct(placed: Placed, count: int, apart: float) -> Placed:
    """The `count` best placements, in order; no two with all scatterers within `apart` [m] of each other."""
    left, chosen = placed.loss.clone(), []
    for _ in range(min(count, len(left))):
        loss, best = left.min(0)
        if not torch.isfinite(loss):
            break
        chosen.append(best)
        near = ((placed.position - placed.position[best]).norm(dim=2) < apart).all(1)
        left[near] = torch.inf
    return placed[torch.stack(chosen)] if chosen else placed[:0]


def _rows(value: Tensor) -> Tensor:
    """Real, then imaginary parts of complex [n, Q], in single precision: [2 n, Q]."""
    return torch.cat([value.real, value.imag]).float()


def _columns(value: Tensor) -> Tensor:
    """[2 n, 2 Q] such that the product with `_rows` gives the real, then the imaginary parts of the complex product."""
    real, imaginary = value.real, value.imag
    return torch.cat([torch.cat([real, -imaginary]), torch.cat([imaginary, real])], dim=1).float()
