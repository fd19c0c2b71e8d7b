"""Covariance of a fit that holds if the model does not: the posterior, and at least the jackknife over the nodes.

Errors of the model are common to the links of a node. The one-step jackknife leaves out one node at a time: with the
normal matrix H, and H_i and g_i the normal matrix and the score of the links of node i, the unknowns move by
D_i = (H - H_i)^-1 g_i. Links belong to two nodes, so that the variance is

    V = (n - 1) / n sum_tx D D^T + (n - 1) / n sum_rx D D^T - H^-1 (sum over links of g g^T) H^-1

(the two-way cluster-robust variance of Cameron, Gelbach and Miller, 2011, with jackknife terms). The weights of
links change with the residual, which enlarges D; a few steps of reweighting follow that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.jacobian import Jacobian, jacobian
from unfolded_ogamp.imaging.likelihood.model_selection import unknowns
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty, observable_variance
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration.fit import GAUGE, Fit, amplitude_variance, mixture, posterior
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings
from unfolded_ogamp.imaging.selfcalibration.step import Equations, noise_level
from unfolded_ogamp.imaging.selfcalibration.weights import LEAST
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.inference import least_squares

REWEIGHTINGS = 4  # steps in which the weights follow a node that is left out
LEAST_SHARE = 0.1  # least share of the samples that unknowns leave


def fit_uncertainty(fit: Fit, settings: CalibrationSettings) -> Uncertainty:
    """Variances of all unknowns of a fit of one scene: the posterior ones if its residual is consistent with the noise.

    Otherwise they are at least those of the jackknife over the nodes.
    """
    covariance, posed = posterior(fit, settings)
    problem = fit.problem
    if fit.consistent or not bool(problem.noise_variance > 0):
        # the residual is smaller than the noise by the share of the unknowns
        share = (1 - unknowns(fit.model, problem) / (2 * problem.n_samples)).clamp(min=LEAST_SHARE)
        covariance = covariance / share[:, None, None]
    if not fit.consistent:
        # the posterior at the known noise holds what the priors leave open; the jackknife replaces the residual
        noise = torch.where(problem.noise_variance > 0, problem.noise_variance, noise_level(fit.model, problem))
        least = covariance[0] * noise / noise_level(fit.model, problem)
        gauge = gauge_directions(fit.model.sources, problem)
        spread = jackknife(jacobian(fit.model, problem), fit.model.residual, posed, gauge, softening(fit))
        covariance = at_least(least, spread)[None]
    return as_uncertainty(covariance, fit)


def as_uncertainty(covariance: Tensor, fit: Fit) -> Uncertainty:
    """The parts of the covariance of all unknowns [1, P, P]; phases without the unobservable mean of each side."""
    sources, problem = fit.model.sources, fit.problem
    n_slots, dimension = sources.position.shape[1:]
    n_tx, n_rx = sources.tx_phase.shape[1], sources.rx_phase.shape[1]
    first = n_slots * dimension
    between = covariance[:, :first, :first].unflatten(2, (dimension, n_slots)).unflatten(1, (dimension, n_slots))
    nodes = covariance[:, -(n_tx + n_rx) * (dimension + 2) :, -(n_tx + n_rx) * (dimension + 2) :]
    phase = observable_variance(nodes[:, :: dimension + 2, :: dimension + 2], problem.link[..., 0])
    phase = torch.where(problem.phases_known[:, None], 0, phase)
    diagonal = nodes.diagonal(dim1=1, dim2=2).unflatten(1, (n_tx + n_rx, dimension + 2)).clamp(min=0)
    shift, level = diagonal[..., 1:-1], diagonal[..., -1]
    return Uncertainty(
        position=between.diagonal(dim1=2, dim2=4).movedim(-1, 1),
        amplitude=amplitude_variance(covariance, sources).clamp(min=0),
        tx_phase=phase[:, :n_tx],
        rx_phase=phase[:, n_tx:],
        tx_shift=shift[:, :n_tx],
        rx_shift=shift[:, n_tx:],
        tx_level=level[:, :n_tx],
        rx_level=level[:, n_tx:],
    )


def gauge_directions(sources: Sources, problem: Problem) -> Tensor:
    """Changes of the unknowns of one scene that do not change the CSI: [P, 1 or 2].

    They are a common phase of all nodes and, without a line of sight, that of all Tx against all reflectivities. A
    prior of the phases holds both.
    """
    n_slots, dimension = sources.position.shape[1:]
    n_tx, n_rx, n_moments = sources.tx_phase.shape[1], sources.rx_phase.shape[1], sources.moment.shape[-1]
    none = sources.position.new_zeros(n_slots * dimension)
    of_moments = sources.position.new_zeros(2 * n_slots * n_moments)
    turn = -1j * sources.coupling if n_moments else sources.coupling[:0]
    image = [none, -sources.reflectivity[0].imag, sources.reflectivity[0].real, of_moments, turn.real, turn.imag]
    node = torch.nn.functional.pad(none.new_ones(1), (0, dimension + 1))
    of_tx, of_image = node.repeat(n_tx), torch.cat(image)
    common = torch.cat([0 * of_image, of_tx, node.repeat(n_rx)])
    if bool(problem.phases_told):
        return common[:, None][:, :0]
    if bool(problem.has_los):
        return common[:, None]
    against = torch.cat([of_image, of_tx, 0 * node.repeat(n_rx)])
    return torch.stack([common, against], dim=1)


def jackknife(rows: Jacobian, residual: Tensor, posed: Equations, gauge: Tensor, soft: Tensor) -> Tensor:
    """V of the free unknowns of one scene [P, P]; zero for the others.

    Args:
        rows: Jacobian, a batch of one.
        residual: [1, n_tx, n_rx, K].
        posed: normal equations of the fit.
        gauge: directions without information [P, G], along which nothing moves.
        soft: of every link [n_tx, n_rx], see `softening`.
    """
    matrix, scale = least_squares.scaled(posed.matrix, GAUGE, posed.free)
    dense, unit = rows.written_out()[0] * scale[0], matrix[0]
    held = torch.where(scale[0] > 0, 1 / scale[0], 0)[:, None] * gauge
    unit = unit + torch.linalg.qr(held).Q @ torch.linalg.qr(held).Q.mT
    link_scores = (dense.conj() * residual[0, ..., None]).real.sum(2)
    real = torch.cat([dense.real, dense.imag], dim=2)  # [n_tx, n_rx, 2 K, P]
    links = link_scores.flatten(0, 1)
    total = torch.zeros_like(unit)
    for side, own in ((0, rows.of_node(0)), (1, rows.of_node(1))):
        blocks, scores = real.movedim(side, 0).flatten(1, 2), link_scores.movedim(side, 0)
        # the unknowns of a node that is left out keep their values
        others = ~own[:, :, None] & ~own[:, None]
        still = torch.linalg.qr(held * ~own[:, :, None]).Q
        system = (matrix[0] - blocks.mT @ blocks + still @ still.mT) * others + torch.diag_embed(own.to(unit))
        factor, pivots, _ = torch.linalg.lu_factor_ex(system)
        moved = torch.zeros_like(scores[:, 0])
        for _ in range(REWEIGHTINGS):
            of_all = (moved @ links.mT * soft.flatten()) @ links
            of_own = ((scores @ moved[..., None])[..., 0] * soft.movedim(side, 0))[:, None] @ scores
            right = torch.where(own, 0, scores.sum(1) + of_all - of_own[:, 0])
            moved = torch.linalg.lu_solve(factor, pivots, right[..., None])[..., 0]
        total = total + (len(moved) - 1) / len(moved) * moved.mT @ moved
    flat = torch.linalg.solve(unit, links.mT)
    return (total - flat @ flat.mT) * scale[0][:, None] * scale[0]


def softening(fit: Fit) -> Tensor:
    """-2 (dw/dp) / w^2 of every link [n_tx, n_rx], for its weight w and the power p of its residual.

    Times g g^T it is what a link takes from the normal matrix, because its weight falls as the residual grows.
    """
    weight = fit.problem.link[0, ..., 0].square()
    slope = mixture(fit, fit.problem.unweighted).slope[0]
    return torch.where(weight > 0, -2 * slope / weight.clamp(min=LEAST).square(), 0)


def at_least(least: Tensor, other: Tensor) -> Tensor:
    """The larger of two covariances [P, P] in every direction: `least`, widened where `other` exceeds it."""
    moving = least.diagonal() > 0
    scale = torch.where(moving, least.diagonal(), 1).sqrt()
    unit = least / scale[:, None] / scale + torch.diag((~moving).to(least))
    root = torch.linalg.cholesky(unit + GAUGE * torch.eye(len(unit)).to(unit))
    white = torch.linalg.solve_triangular(root, other / scale[:, None] / scale, upper=False)
    white = torch.linalg.solve_triangular(root, white.mT, upper=False)
    value, vector = torch.linalg.eigh((white + white.mT) / 2)
    widened = (root @ vector) * scale[:, None]
    return (widened * value.clamp(min=1.0)) @ widened.mT * (moving[:, None] & moving)
