"""Certainty: noise levels, probabilities and covariances, and what a residual above the noise takes from them."""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.assembly.outcome import Outcome
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem

MOST_CERTAIN = 0.95  # largest probability of a scatterer if the residual exceeds the noise


def noise_level(model: Model, problem: Problem, outcome: Outcome) -> Tensor:
    """Noise variance [B]: the given one, or that of the residual."""
    of_residual = model_selection.noise_power(model, problem)
    given = outcome.consistent & (problem.noise_std == 0)
    return torch.where(given, problem.noise_variance, of_residual.maximum(problem.noise_variance))


def certainty(model: Model, problem: Problem, outcome: Outcome) -> Tensor:
    """Factor on the probability of every source [B, S]: 1 if the residual is consistent with the noise.

    Otherwise it is the share of the scattered power that the model explains, since the rest can invent sources. If the
    search is trapped, the share of other starts that found the source is a further factor.
    """
    explained = MOST_CERTAIN * model_selection.explained(model, problem)
    share = torch.where(outcome.trapped[:, None], outcome.support, 1.0)
    return torch.where(outcome.consistent[:, None], share, share * explained[:, None])


def strongest(model: Model, problem: Problem, outcome: Outcome) -> Tensor:
    """Sources that are listed, bool [B, S]: all, but in trapped scenes at most the rank of the links, if known.

    The rank of links without a line of sight limits nothing.
    """
    strength = torch.where(model.sources.used, model_selection.strength(model, problem), -torch.inf)
    place = strength.argsort(dim=1, descending=True).argsort(dim=1)
    limited = (outcome.trapped & outcome.noise_known & ~problem.has_los)[:, None]
    return model.sources.used & (~limited | (place < outcome.least_count[:, None]))


def within(covariance: Tensor, radius: Tensor) -> Tensor:
    """Probability that Gaussian errors of covariance [B, S, D, D] are shorter than `radius` [B]: [B, S].

    The squared length has the mean tr C and the variance 2 tr C^2; a gamma distribution of the same moments is taken.
    """
    mean = covariance.diagonal(dim1=2, dim2=3).sum(2)
    half_variance = covariance.square().sum((2, 3))
    shape = mean.square() / (2 * half_variance)
    scaled = radius.square()[:, None] * mean / (2 * half_variance)
    known = torch.isfinite(mean) & (mean > 0)
    share = torch.special.gammainc(torch.where(known, shape, 1.0), torch.where(known, scaled, 1.0))
    return torch.where(known, share, (mean == 0).to(share))


def mixed(covariance: Tensor, share: Tensor, model: Model, problem: Problem, outcome: Outcome) -> Tensor:
    """Covariance [B, S, D, D] if positions of trapped scenes are uniform over the region at probability 1 - share."""
    centre = problem.grid.centre
    uniform = torch.diag_embed((centre.amax(1) - centre.amin(1)).square() / 12)[:, None]
    away = model.sources.position - centre.mean(1, keepdim=True)
    uniform = uniform + away[..., :, None] * away[..., None, :]
    right = torch.where(outcome.trapped[:, None], share, 1.0)[..., None, None]
    known = torch.where(right > 0, right * covariance, 0)
    return torch.where(right < 1, known + (1 - right) * uniform, covariance)


def presence(above_noise: Tensor, n_pixels: int) -> Tensor:
    """Probability of scatterers from the power of their echoes over the noise variance.

    It is 1 - p / 2, p the probability (union bound) that noise reaches this power in any pixel, and thus at least 1/2.
    """
    return 1 - 0.5 * (n_pixels * torch.exp(-above_noise)).clamp(max=1.0)


def pixel_presence(position: Tensor, probability: Tensor, centre: Tensor) -> Tensor:
    """Largest probability of the scatterers [S, D] in every pixel [N]; probabilities are [S], centres [N, D]."""
    nearest = torch.cdist(position, centre).argmin(1)
    return torch.zeros_like(centre[:, 0]).scatter_reduce(0, nearest, probability, "amax")
