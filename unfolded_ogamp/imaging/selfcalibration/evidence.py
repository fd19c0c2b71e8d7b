"""The evidence of a self-calibrating fit, which compares fits with points and with extended targets, of any start.

Unknowns with priors cost what Laplace's approximation says, log det(I + A / Lambda) / 2 for information A and precision
Lambda (MacKay, "Bayesian interpolation", 1992), which is little if the CSI hardly determines them. Sources have no
prior, and cost what the extended Bayesian information criterion says.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.model_selection import price_of_source
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration.fit import GAUGE, Fit, mixture, posterior
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings
from unfolded_ogamp.imaging.selfcalibration.step import Equations, noise_level
from unfolded_ogamp.inference import least_squares


def negative_evidence(fit: Fit, problem: Problem, settings: CalibrationSettings) -> Tensor:
    """-2 log evidence of a fit [B]; lower is better. `problem` has no weights."""
    prices = fit.model.sources.used.sum(1) * price_of_source(fit.problem)
    occam = occam_factor(posterior(fit, settings)[1], noise_level(fit.model, fit.problem))
    return -2 * mixture(fit, problem).log_likelihood + prices + occam


def occam_factor(posed: Equations, noise: Tensor) -> Tensor:
    """Cost of the unknowns with a prior [B], at noise variance [B]: distance from the prior, and its shrinkage."""
    matrix, scale = least_squares.scaled(posed.matrix, GAUGE, posed.free)

    def log_det(chosen: Tensor) -> Tensor:
        """Logarithm of the determinant of the precision of the unknowns `chosen` [B, P]."""
        both = chosen[:, :, None] & chosen[:, None]
        block = torch.where(both, matrix, torch.eye(matrix.shape[1]).to(matrix))
        of_scale = torch.where(chosen, scale.square() * noise[:, None] / 2, 1).log().sum(1)
        return torch.linalg.slogdet(block).logabsdet - of_scale

    with_prior = posed.free & (posed.prior.group > 0) & (scale > 0)
    free = posed.free & (scale > 0)
    of_prior = torch.where(with_prior, posed.prior.precision, 1).log().sum(1)
    cost = (posed.prior.precision * posed.prior.deviation.square() * with_prior).sum(1)
    return cost + log_det(free) - log_det(free & ~with_prior) - of_prior
