"""Posterior of a Bernoulli-Gaussian coefficient seen through Gaussian noise, equations (40)-(52) of the paper."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Prior(Record):
    """Prior (32)-(34): with probability sigmoid(log_odds) all Q coefficients of a pixel are Gaussian, else zero.

    Attributes:
        log_odds: log-odds of activity [B, 1, 1 or N].
        mean: mean of the active coefficients [B, Q, 1 or N].
        variance: their variance E|x - mean|^2 [B, Q, 1 or N].
    """

    log_odds: Tensor
    mean: Tensor
    variance: Tensor


@dataclass(frozen=True)
class Posterior(Record):
    """Posterior of the coefficients.

    Attributes:
        log_odds: log-odds of activity [B, Q, N]; equal along Q where activity is shared.
        mean: complex posterior mean [B, Q, N].
        variance: posterior variance [B, Q, N].
        active_mean: posterior mean given activity (51) [B, Q, N].
        active_variance: posterior variance given activity (52) [B, Q, N].
    """

    log_odds: Tensor
    mean: Tensor
    variance: Tensor
    active_mean: Tensor
    active_variance: Tensor


def log_likelihood_ratio(estimate: Tensor, variance: Tensor, prior: Prior) -> Tensor:
    """log Z(1) - log Z(0) of (40)-(41) for each coefficient [B, Q, N]: how much more likely active than zero."""
    spread = prior.variance + variance
    active = torch.log(variance / spread) - (estimate - prior.mean).abs().square() / spread
    return active + estimate.abs().square() / variance


def denoise(estimate: Tensor, variance: Tensor, prior: Prior, shared_activity: bool) -> Posterior:
    """Posterior of coefficients observed as `estimate` ~ CN(coefficient, variance), (45)-(52).

    Args:
        estimate: complex [B, Q, N].
        variance: [B, Q, N].
        prior: Bernoulli-Gaussian prior.
        shared_activity: whether the Q coefficients of a pixel are active together (OG-AMP) or each on its own (GAMP).
    """
    evidence = log_likelihood_ratio(estimate, variance, prior)
    if shared_activity:
        evidence = evidence.sum(1, keepdim=True).expand_as(evidence)
    log_odds = prior.log_odds + evidence
    gain = prior.variance / (prior.variance + variance)
    active_mean = prior.mean + gain * (estimate - prior.mean)
    active_variance = gain * variance
    probability = log_odds.sigmoid()
    return Posterior(
        log_odds=log_odds,
        mean=probability * active_mean,
        variance=probability * active_variance + probability * (1 - probability) * active_mean.abs().square(),
        active_mean=active_mean,
        active_variance=active_variance,
    )
