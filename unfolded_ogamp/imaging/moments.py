"""Extended targets: moments of the reflectivity, and double scattering between targets.

A target of points x_i at p + d_i has, far from the nodes, the reflectivity sum_i x_i exp(-j kappa d_i . (u_tx + u_rx)).
Its Taylor series in s = (u_tx + u_rx) kappa lambda_c / 8 is x (1 + sum_k m_k s^k) over the monomials s^k of the
coordinates. The terms of order one move the target; a source is at the centroid, where they are zero.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from unfolded_ogamp.operators.points import PointColumns
from unfolded_ogamp.physics import NodeArray, distances, node_wave, unit_vectors

ORDERS = (2, 3, 4)  # of the series; they describe targets of up to about half a wavelength
UNIT = 1 / 8  # of the displacements in a target, in carrier wavelengths


def exponents(dimension: int) -> list[tuple[int, ...]]:
    """Axes of the factors of every monomial, (0, 0) for the square of the first coordinate."""
    return [axes for order in ORDERS for axes in itertools.combinations_with_replacement(range(dimension), order)]


def series(array: NodeArray, position: Tensor) -> Tensor:
    """Monomials s^k of the directions to sources at [B, S, D] [m]: real [B, n_tx, n_rx, K, S, M]."""
    direction = _direction(array, position)
    terms = [_product(direction, axes) for axes in exponents(position.shape[-1])]
    return torch.stack(terms, dim=-1)


def directivity(array: NodeArray, position: Tensor, moment: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the moments [B, S, M] times their monomials, and its gradient over s.

    Returns:
        complex [B, n_tx, n_rx, K, S]; [B, n_tx, n_rx, K, D, S].
    """
    direction, dimension = _direction(array, position), position.shape[-1]
    shape = direction[:, 0].shape
    value, slope = moment.new_zeros(shape), [moment.new_zeros(shape) for _ in range(dimension)]
    for number, axes in enumerate(exponents(dimension)):
        one = moment[:, None, None, None, :, number]
        value = value + one * _product(direction, axes)
        for axis in set(axes):
            others = list(axes)
            others.remove(axis)
            slope[axis] = slope[axis] + one * axes.count(axis) * _product(direction, tuple(others))
    return value, torch.stack(slope, dim=4)


def turns(array: NodeArray, position: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of s by the position of a source, over its direction from Tx, and over that from Rx.

    Returns:
        [B, D, D, K, n_tx, S] and [B, D, D, K, n_rx, S]: axes of s, then of the position, [1/m].
    """
    kappa, dimension = array.wavenumber * array.wavelength[:, None] * UNIT, position.shape[-1]
    unit = torch.eye(dimension).to(position)[:, :, None, None]
    sides = []
    for nodes in (array.tx, array.rx):
        towards = unit_vectors(nodes, position)
        across = (unit - towards[:, :, None] * towards[:, None]) / distances(nodes, position)[:, None, None]
        sides.append(across[:, :, :, None] * kappa[:, None, None, :, None, None])
    return sides[0], sides[1]


def _direction(array: NodeArray, position: Tensor) -> Tensor:
    """s of every link and source [B, D, n_tx, n_rx, K, S]."""
    tx, rx = (unit_vectors(nodes, position) for nodes in (array.tx, array.rx))
    kappa = array.wavenumber * array.wavelength[:, None] * UNIT
    return (tx[:, :, :, None, None] + rx[:, :, None, :, None]) * kappa[:, None, None, None, :, None]


def _product(direction: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Product of coordinates of s."""
    result = direction[:, axes[0]]
    for axis in axes[1:]:
        result = result * direction[:, axis]
    return result


def written_out(columns: PointColumns) -> Tensor:
    """The columns without derivatives on every link: complex [B, n_tx, n_rx, K, S]."""
    tx, rx = columns.plain()
    return (tx[:, :, :, None] * rx[:, :, None]).movedim(1, 3)


def channel(array: NodeArray, columns: PointColumns, position: Tensor, moment: Tensor, reflectivity: Tensor) -> Tensor:
    """Echoes of the moments [B, S, M] of sources at [B, S, D] [m] of reflectivities [B, S]: [B, n_tx, n_rx, K]."""
    directed = directivity(array, position, moment)[0] * reflectivity[:, None, None, None]
    return (written_out(columns) * directed).sum(-1)


def double_echoes(array: NodeArray, columns: PointColumns, position: Tensor, reflectivity: Tensor) -> Tensor:
    """Channel of double scattering between sources, up to a common factor: complex [B, n_tx, n_rx, K].

    To first order (Foldy, 1945) it is sum_{s != t} x_s x_t exp(-j kappa d) / (kappa d) along the path Tx, s, t, Rx, d
    the distance of s and t.
    """
    tx, rx = (side * reflectivity[:, None, None] for side in columns.plain())
    distance = distances(position, position)
    apart = (distance > 0) & (reflectivity != 0)[:, :, None] & (reflectivity != 0)[:, None]
    wave = node_wave(array, torch.where(apart, distance, 1.0), None) / array.wavenumber[:, :, None, None]
    return ((tx @ (wave * apart[:, None])) @ rx.mT).movedim(1, -1)


def extent(moment: Tensor, position: Tensor, wavelength: Tensor) -> Tensor:
    """Root mean square radius of targets [B, S], [m]; 0 for points.

    With displacements d in units of lambda_c / 8, the terms of order two are -<(d . s)^2> / 2, the mean weighted by the
    reflectivity; those of the squares add up to -<|d|^2> / 2.

    Args:
        moment: [B, S, M], over the reflectivity.
        position: of the targets [B, S, D].
        wavelength: lambda_c [B], [m].
    """
    squares = [
        number for number, axes in enumerate(exponents(position.shape[-1])) if len(axes) == 2 and axes[0] == axes[1]
    ]
    if not moment.shape[-1]:
        return torch.zeros_like(position[..., 0])
    mean_square = -2 * moment[..., squares].real.sum(-1)
    return UNIT * wavelength[:, None] * mean_square.clamp(min=0).sqrt()
