"""What the curvature of the likelihood says of how certain every estimate is, with everything else unknown too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.estimators.columns import Columns
from unfolded_ogamp.estimators.likelihood import normal_matrix, residual, scaled, unknowns_in_play
from unfolded_ogamp.estimators.problem import Problem
from unfolded_ogamp.estimators.sources import Sources
from unfolded_ogamp.records import Record, choose

GAUGE_DAMPING = 1e-10  # holds what cannot be observed, and is small beside what can hardly be


@dataclass(frozen=True)
class Uncertainty(Record):
    """Variances per unit of noise variance, all else unknown too.

    Attributes:
        position: covariance of every position [B, S, D, D], [m^2].
        amplitude: of the amplitude of every reflectivity [B, S]; its phase has none without a line of sight, as it
            cannot be told from that of all Tx.
        tx_phase, rx_phase: of the node phases [B, n_tx], [B, n_rx], [rad^2], without the mean of each side, which
            cannot be observed without a line of sight.
    """

    position: Tensor
    amplitude: Tensor
    tx_phase: Tensor
    rx_phase: Tensor


def uncertainty(sources: Sources, problem: Problem) -> Uncertainty:
    """What the curvature of the likelihood says of every estimate; infinite where it says nothing."""
    columns = Columns.at(sources, problem)
    matrix = normal_matrix(sources, problem, columns, residual(sources, problem, columns)[1])
    moving = unknowns_in_play(sources, torch.ones_like(sources.used.any(1)))
    system, scale = scaled(matrix, moving, torch.full_like(matrix[:, 0, 0], GAUGE_DAMPING))
    # complex noise of variance sigma^2 has the Fisher matrix 2 J^H J / sigma^2
    factor, info = torch.linalg.cholesky_ex(system)
    failed = info[:, None, None] > 0
    inverse = torch.cholesky_inverse(torch.where(failed, torch.eye(system.shape[1]).to(system), factor))
    covariance = inverse * scale[:, :, None] * scale[:, None] / 2
    n_slots, dimension = sources.position.shape[1:]
    first, second, third = n_slots * dimension, n_slots * (dimension + 1), n_slots * (dimension + 2)

    between = covariance[:, :first, :first].unflatten(2, (dimension, n_slots)).unflatten(1, (dimension, n_slots))
    position = between.diagonal(dim1=2, dim2=4).movedim(-1, 1)

    diagonal = covariance.diagonal(dim1=1, dim2=2)
    mixed = covariance[:, first:second, second:third].diagonal(dim1=1, dim2=2)
    direction = sources.reflectivity / sources.reflectivity.abs().clamp(min=torch.finfo(scale.dtype).tiny)
    amplitude = (
        direction.real.square() * diagonal[:, first:second] + direction.imag.square() * diagonal[:, second:third]
    )
    amplitude = amplitude + 2 * direction.real * direction.imag * mixed

    phase = _observable_variance(covariance[:, third:, third:], problem.link[..., 0])
    tx_phase, rx_phase = phase.split([sources.tx_phase.shape[1], sources.rx_phase.shape[1]], dim=1)
    result = Uncertainty(position, amplitude.clamp(min=0), tx_phase, rx_phase)
    return choose(info > 0, result.map(lambda value: torch.full_like(value, torch.inf)), result)


def _observable_variance(covariance: Tensor, link: Tensor) -> Tensor:
    """Variances [B, n] of node phases of covariance [B, n, n], Tx first, without what cannot be observed.

    That is the mean of each side, nodes weighted by their links [B, n_tx, n_rx]. A node of which the model says nothing
    has an infinite variance.
    """
    n_tx = link.shape[1]
    mean = torch.zeros_like(covariance)
    mean[:, :n_tx, :n_tx], mean[:, n_tx:, n_tx:] = link.sum(2)[:, None], link.sum(1)[:, None]
    rest = torch.eye(covariance.shape[1]).to(mean) - mean / link.sum((1, 2))[:, None, None]
    variance = (rest @ covariance @ rest.mT).diagonal(dim1=1, dim2=2).clamp(min=0)
    return torch.where(covariance.diagonal(dim1=1, dim2=2) == 0, torch.inf, variance)
