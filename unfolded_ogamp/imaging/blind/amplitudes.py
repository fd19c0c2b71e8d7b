"""The amplitude fit: separates scatterers by their path losses alone, whatever the node phases and the wavelength.

S scatterers give a matrix of links Y = A B^T of rank S. Column s of A is the wave from every Tx to scatterer s, and
column s of B the wave from there to every Rx, times the reflectivity. The singular vectors give A and B up to a mixing
matrix G: A = L G and B^T = G^-1 R^T with Y = L R^T. Node phases and propagation phases do not change |A| and |B|, and
the path loss fixes both at every position. Levenberg-Marquardt steps therefore fit G and the positions to the path
losses. The fit has no local minima on the scale of a wavelength, and few on the scale of the region.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.physics import NodeArray, amplitude, amplitude_rate, distances, unit_vectors
from unfolded_ogamp.records import Record, choose

FIRST_DAMPING = 1e-2
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-7, 1e7
LARGEST_CHANGE = 2.0  # of the logarithm of a strength in a step
GAUGE_DAMPING = 1e-9  # the phases of the columns of G change no amplitude


@dataclass(frozen=True)
class Factors(Record):
    """Factors Y = L R^T of the links' matrix, and what bounds the positions; a batch of one.

    Attributes:
        tx, rx: L and R, complex [1, n_tx, S], [1, n_rx, S].
        array: nodes.
        low, high: corners of the region [1, 1, D], [m].
    """

    tx: Tensor
    rx: Tensor
    array: NodeArray
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, matrix: Tensor, count: int, problem: Problem) -> Self:
        """The `count` strongest singular vectors of the links' matrix [1, n_tx, n_rx] of a problem."""
        left, value, right = torch.linalg.svd(matrix, full_matrices=False)
        root = value[:, None, :count].sqrt()
        centre, edge = problem.grid.centre, problem.grid.pixel[:, None, None] / 2
        return cls(
            tx=left[:, :, :count] * root,
            rx=right.mT[:, :, :count] * root,
            array=problem.array,
            low=centre.amin(1, keepdim=True) - edge,
            high=centre.amax(1, keepdim=True) + edge,
        )


@dataclass(frozen=True)
class Separation(Record):
    """Separated scatterers; F is the number of fits.

    Attributes:
        mixing: G, complex [F, S, S].
        position: [F, S, D], [m].
        strength: logarithm of the reflectivity's amplitude, in the units of |B| [F, S].
    """

    mixing: Tensor
    position: Tensor
    strength: Tensor

    def columns(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """A and B: complex [F, n_tx, S], [F, n_rx, S]."""
        return factors.tx @ self.mixing, factors.rx @ torch.linalg.inv_ex(self.mixing).inverse.mT


@dataclass(frozen=True)
class Fit(Record):
    """State between two steps of the amplitude fit.

    Attributes:
        separation: present estimate.
        tx_weight, rx_weight: weights of the residuals of every scatterer [F, S].
        cost: sum of the squared weighted residuals [F].
        damping: Levenberg-Marquardt damping [F].
    """

    separation: Separation
    tx_weight: Tensor
    rx_weight: Tensor
    cost: Tensor
    damping: Tensor


def random_start(factors: Factors, n_fits: int, generator: torch.Generator) -> Fit:
    """Random unitary mixing matrices, and random positions in the region; every scatterer has the same weight."""
    real, n_slots = factors.low.dtype, factors.tx.shape[2]
    parts = torch.randn(2, n_fits, n_slots, n_slots, dtype=real, generator=generator)
    share = torch.rand(n_fits, n_slots, factors.low.shape[2], dtype=real, generator=generator)
    position = factors.low + share.to(factors.low) * (factors.high - factors.low)
    mixing = torch.linalg.qr(torch.complex(*parts).to(factors.tx))[0]
    tx, rx = Separation(mixing, position, torch.zeros_like(share[..., 0])).columns(factors)
    tx_loss, rx_loss = losses(factors.array, position)
    tx_scale, rx_scale = (side.abs().sum(1) / loss.sum(1) for side, loss in ((tx, tx_loss), (rx, rx_loss)))
    separation = Separation(mixing / tx_scale[:, None], position, (tx_scale * rx_scale).log())
    weights = (loss.square().mean((1, 2)).rsqrt()[:, None].expand(-1, n_slots) for loss in (tx_loss, rx_loss))
    return weighted(separation, factors, *weights)


def weighted(separation: Separation, factors: Factors, tx_weight: Tensor, rx_weight: Tensor) -> Fit:
    """A fit before its first step."""
    value = power(residual(separation, factors, tx_weight, rx_weight))
    return Fit(separation, tx_weight, rx_weight, value, torch.full_like(value, FIRST_DAMPING))


def by_noise(separation: Separation, factors: Factors, noise_variance: Tensor) -> Fit:
    """A fit whose weights are the reciprocal standard deviations of |A| and |B|, for a noise variance [1]."""
    tx, rx = separation.columns(factors)
    tx_weight, rx_weight = ((noise_variance[:, None] / 2 * _inverse_gram(other)).rsqrt() for other in (rx, tx))
    return weighted(separation, factors, tx_weight, rx_weight * separation.strength.exp())


def step(fit: Fit, factors: Factors) -> Fit:
    """One Levenberg-Marquardt step; a step that does not lower the cost is refused."""
    slope = jacobian(fit, factors)
    error = residual(fit.separation, factors, fit.tx_weight, fit.rx_weight)
    change = least_squares.solve(slope.mT @ slope, -(slope.mT @ error[..., None])[..., 0], fit.damping + GAUGE_DAMPING)
    moved = move(fit.separation, change, factors)
    cost = power(residual(moved, factors, fit.tx_weight, fit.rx_weight))
    better = cost < fit.cost
    damping = torch.where(better, fit.damping / 4, fit.damping * 4).clamp(SMALLEST_DAMPING, LARGEST_DAMPING)
    return choose(better, replace(fit, separation=moved, cost=cost, damping=damping), replace(fit, damping=damping))


def misfit(fit: Fit, factors: Factors) -> Tensor:
    """Variance of the residuals over that of the noise, at least 1 [F]; for weights `by_noise`.

    Wrong gains or a wrong path loss raise it, and with it the variance of all that is fitted.
    """
    n_slots, dimension = fit.separation.position.shape[1:]
    n_amplitudes = (factors.tx.shape[1] + factors.rx.shape[1]) * n_slots
    unknowns = 2 * n_slots**2 + n_slots * dimension  # the phases of the columns of G change nothing, strengths do
    return (fit.cost / max(n_amplitudes - unknowns, 1)).clamp(min=1.0)


def covariance(fit: Fit, factors: Factors) -> Tensor:
    """Covariance of every position [F, S, D, D] [m^2], with G and the strengths free; for weights `by_noise`."""
    n_slots, dimension = fit.separation.position.shape[1:]
    slope = jacobian(fit, factors)
    inverse, _ = least_squares.inverse(slope.mT @ slope, GAUGE_DAMPING)
    first = 2 * n_slots**2
    part = slice(first, first + n_slots * dimension)
    between = inverse[:, part, part].unflatten(2, (n_slots, dimension)).unflatten(1, (n_slots, dimension))
    return between.diagonal(dim1=1, dim2=3).movedim(-1, 1) * misfit(fit, factors)[:, None, None, None]


def losses(array: NodeArray, position: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitudes of the waves from positions [F, S, D] to Tx and Rx: [F, n_tx, S], [F, n_rx, S]."""
    tx, rx = (amplitude(array, distances(nodes, position), gain) for nodes, gain in array.sides)
    return tx, rx


def residual(separation: Separation, factors: Factors, tx_weight: Tensor, rx_weight: Tensor) -> Tensor:
    """Weighted differences between the separated amplitudes and the path losses [F, (n_tx + n_rx) S]."""
    tx, rx = separation.columns(factors)
    tx_loss, rx_loss = losses(factors.array, separation.position)
    at_tx = (tx.abs() - tx_loss) * tx_weight[:, None]
    at_rx = (rx.abs() * (-separation.strength).exp()[:, None] - rx_loss) * rx_weight[:, None]
    return torch.cat([at_tx, at_rx], dim=1).flatten(1)


def jacobian(fit: Fit, factors: Factors) -> Tensor:
    """Derivatives of `residual` [F, (n_tx + n_rx) S, P].

    The P = 2 S^2 + S D + S unknowns are the real parts, then the imaginary parts of G, row by row, the positions,
    scatterer by scatterer, and the strengths.
    """
    separation, array = fit.separation, factors.array
    n_slots = separation.strength.shape[1]
    inverse = torch.linalg.inv_ex(separation.mixing).inverse
    tx, rx = factors.tx @ separation.mixing, factors.rx @ inverse.mT
    scale = fit.rx_weight * (-separation.strength).exp()
    tx_turn, rx_turn = (
        weight[:, None] * side.conj() / side.abs().clamp(min=torch.finfo(scale.dtype).tiny)
        for side, weight in ((tx, fit.tx_weight), (rx, scale))
    )
    # A = L G: column s of A depends on column s of G. B^T = G^-1 R^T: its derivative is -G^-1 dG B^T.
    of_tx = torch.diag_embed(tx_turn[:, :, None] * factors.tx[..., None]).transpose(2, 3)
    of_rx = -(rx_turn[..., None] * inverse[:, None])[..., None] * rx[:, :, None, None]
    mixing = torch.cat([of_tx, of_rx], dim=1).flatten(3).flatten(1, 2)

    own = torch.eye(n_slots).to(scale)
    position = []
    for (nodes, gain), weight in zip(array.sides, (fit.tx_weight, fit.rx_weight), strict=True):
        distance = distances(nodes, separation.position)
        rate = amplitude(array, distance, gain) * amplitude_rate(array, distance) * weight[:, None]
        position.append(-rate[..., None] * unit_vectors(nodes, separation.position).movedim(1, 3))
    along = (torch.cat(position, dim=1)[:, :, :, None] * own[..., None]).flatten(3).flatten(1, 2)

    strength = torch.cat([torch.zeros_like(tx.real), -rx.abs() * scale[:, None]], dim=1)
    return torch.cat([mixing.real, -mixing.imag, along, (strength[..., None] * own).flatten(1, 2)], dim=2)


def move(separation: Separation, change: Tensor, factors: Factors) -> Separation:
    """A separation after a change [F, P] of the unknowns; positions stay in the region."""
    n_slots, dimension = separation.position.shape[1:]
    sizes = [n_slots**2, n_slots**2, n_slots * dimension, n_slots]
    real, imaginary, shift, strength = change.split(sizes, dim=1)
    position = separation.position + shift.unflatten(1, (n_slots, dimension))
    return Separation(
        mixing=separation.mixing + torch.complex(real, imaginary).unflatten(1, (n_slots, n_slots)),
        position=position.clamp(factors.low, factors.high),
        strength=separation.strength + strength.clamp(-LARGEST_CHANGE, LARGEST_CHANGE),
    )


def power(value: Tensor) -> Tensor:
    """Sum of squares [F] of [F, R]; inf if it is not a number."""
    return value.square().sum(1).nan_to_num(torch.inf)


def _inverse_gram(side: Tensor) -> Tensor:
    """Diagonal of (side^H side)^-1 [F, S], for columns [F, n, S]."""
    return torch.linalg.inv_ex(side.mH @ side).inverse.diagonal(dim1=1, dim2=2).real
