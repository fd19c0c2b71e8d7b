"""Extended targets: moments of the reflectivity, which make an echo depend on the directions of the nodes.

A target of points x_i at p + d_i has, far from the nodes, the reflectivity sum_i x_i exp(-j kappa d_i . (u_tx + u_rx)).
Its Taylor series in s = (u_tx + u_rx) kappa lambda_c / 8 is x + sum_k m_k s^k over the monomials s^k of the coordinates.
The terms of order one move the target; the position of a source is that of the centroid, where they are zero.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from unfolded_ogamp.operators.points import PointColumns
from unfolded_ogamp.physics import NodeArray, unit_vectors

ORDERS = (2, 3, 4)  # of the series; they describe targets of up to about half a wavelength
UNIT = 1 / 8  # of the displacements in a target, in carrier wavelengths


def exponents(dimension: int) -> list[tuple[int, ...]]:
    """Axes of the factors of every monomial, (0, 0) for the square of the first coordinate."""
    return [axes for order in ORDERS for axes in itertools.combinations_with_replacement(range(dimension), order)]


def series(array: NodeArray, position: Tensor) -> Tensor:
    """Monomials s^k of the directions to sources at [B, S, D] [m]: real [B, n_tx, n_rx, K, S, M]."""
    tx, rx = (unit_vectors(nodes, position) for nodes in (array.tx, array.rx))
    kappa = array.wavenumber * array.wavelength[:, None] * UNIT
    direction = (tx[:, :, :, None] + rx[:, :, None])[..., None] * kappa[:, None, None, None, None]
    direction = direction.movedim(-1, -2)  # [B, D, n_tx, n_rx, K, S]
    terms = [torch.stack([direction[:, axis] for axis in axes]).prod(0) for axes in exponents(position.shape[-1])]
    return torch.stack(terms, dim=-1)


def written_out(columns: PointColumns) -> Tensor:
    """The columns without derivatives on every link: complex [B, n_tx, n_rx, K, S]."""
    tx, rx = columns.plain()
    return (tx[:, :, :, None] * rx[:, :, None]).movedim(1, 3)


def channel(columns: PointColumns, monomials: Tensor, moment: Tensor) -> Tensor:
    """Echoes of the moments [B, S, M], for monomials of `series`: complex [B, n_tx, n_rx, K]."""
    directivity = torch.einsum("bijksm,bsm->bijks", monomials.to(moment), moment)
    return (written_out(columns) * directivity).sum(-1)
