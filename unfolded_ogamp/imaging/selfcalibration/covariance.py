"""Covariance of a fit that holds if the model does not: the posterior, and at least the jackknife over the nodes.

Errors of the model are common to the links of a node. The one-step jackknife leaves out one node at a time: with the
normal matrix H, and H_i and g_i the normal matrix and the score of the links of node i, the unknowns move by
D_i = (H - H_i)^-1 g_i. Links belong to two nodes, so that the variance is

    V = (n - 1) / n sum_tx D D^T + (n - 1) / n sum_rx D D^T - H^-1 (sum over links of g g^T) H^-1

(the two-way cluster-robust variance of Cameron, Gelbach and Miller, 2011, with jackknife terms).
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.jacobian import Jacobian, jacobian
from unfolded_ogamp.imaging.selfcalibration.fit import GAUGE, Fit
from unfolded_ogamp.imaging.selfcalibration.step import Equations, noise_level
from unfolded_ogamp.inference import least_squares


def covariance(fit: Fit, posed: Equations, free_share: Tensor) -> Tensor:
    """Covariance of all unknowns of a scene, a batch of one: [P, P].

    Args:
        fit: fit of one scene.
        posed: its normal equations.
        free_share: samples less unknowns over samples; the residual is smaller than the noise by this factor.
    """
    scaled, scale = least_squares.scaled(posed.matrix, GAUGE, posed.free)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(scaled))[0]
    unit = scale[0]
    noise = noise_level(fit.model, fit.problem)
    posterior = noise / 2 / free_share * inverse
    rows = jacobian(fit.model, fit.problem)
    spread = jackknife(rows, fit.model.residual, scaled[0], unit) / free_share
    return at_least(posterior, spread) * unit[:, None] * unit


def jackknife(rows: Jacobian, residual: Tensor, matrix: Tensor, unit: Tensor) -> Tensor:
    """V [P, P] of one scene, in units of `unit` [P], for the normal matrix [P, P] of unit diagonal."""
    dense = rows.written_out()[0] * unit
    score = (dense.conj() * residual[0, ..., None]).real
    link_scores = score.sum(2)
    real = torch.cat([dense.real, dense.imag], dim=2)  # [n_tx, n_rx, 2 K, P]
    total = torch.zeros_like(matrix)
    for side in (0, 1):
        blocks, scores = real.movedim(side, 0).flatten(1, 2), link_scores.sum(1 - side)
        moved = torch.linalg.solve(matrix - blocks.mT @ blocks, scores[..., None])[..., 0]
        count = len(moved)
        total = total + (count - 1) / count * moved.mT @ moved
    flat = torch.linalg.solve(matrix, link_scores.flatten(0, 1).mT)
    return total - flat @ flat.mT


def at_least(least: Tensor, other: Tensor) -> Tensor:
    """The larger of two covariances [P, P] in every direction: eigenvalues of `other` over `least`, not below one."""
    root = torch.linalg.cholesky(least)
    white = torch.linalg.solve_triangular(root, torch.linalg.solve_triangular(root, other, upper=False).mT, upper=False)
    value, vector = torch.linalg.eigh((white + white.mT) / 2)
    widened = root @ vector
    return (widened * value.clamp(min=1.0)) @ widened.mT
