"""Generalised approximate message passing for the dictionary on a grid or off it: steps 3-5 of Algorithm 1.

The edge messages of the paper, one per link and pixel, are summed up in node-level quantities with an Onsager term:
O((n_tx + n_rx) K N) memory instead of O(n_tx n_rx K N).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.operators.multistatic import MultistaticOperator
from unfolded_ogamp.operators.off_grid import OffGridOperator
from unfolded_ogamp.records import Record

Operator = MultistaticOperator | OffGridOperator


@dataclass(frozen=True)
class MessageState(Record):
    """State of message passing between two iterations.

    Attributes:
        operator: the dictionary as it is expanded now.
        posterior: what is known of the coefficients.
        score: scaled residual (y - Z) / (noise + V) of the last iteration, complex [B, n_tx, n_rx, K].
    """

    operator: Operator
    posterior: Posterior
    score: Tensor

    def prediction(self) -> Tensor:
        """CSI [B, n_tx, n_rx, K] that the posterior mean explains, without phases and line of sight."""
        return self.operator.forward(self.posterior.mean)


def init(operator: Operator, prior: Prior, observation: Tensor, n_positions: int, all_active: bool) -> MessageState:
    """Step 1 of Algorithm 1: every message at the prior.

    Args:
        operator: the dictionary.
        prior: prior of the coefficients.
        observation: CSI to explain, complex [B, n_tx, n_rx, K].
        n_positions: number of positions N.
        all_active: start from the prior of an active pixel, as the paper does, rather than from the prior itself.
    """
    shape = (observation.shape[0], prior.mean.shape[1], n_positions)
    mean, variance = prior.mean.expand(shape), prior.variance.expand(shape)
    log_odds = prior.log_odds.expand(shape)
    probability = torch.ones_like(log_odds) if all_active else log_odds.sigmoid()
    posterior = Posterior(
        log_odds=log_odds,
        mean=probability * mean,
        variance=probability * variance + probability * (1 - probability) * mean.abs().square(),
        active_mean=mean,
        active_variance=variance,
    )
    return MessageState(operator, posterior, torch.zeros_like(observation))


def step(
    state: MessageState,
    observation: Tensor,
    link: Tensor,
    prior: Prior,
    noise_variance: Tensor,
    damping: Tensor | float,
    shared_activity: bool,
) -> MessageState:
    """One iteration of steps 3-5: (35)-(38) and (65)-(66) at node level, then the denoiser (40)-(46).

    Args:
        state: the state so far.
        observation: CSI to explain, complex [B, n_tx, n_rx, K].
        link: 1.0 where the link is measured [B, n_tx, n_rx, 1].
        prior: prior of the coefficients.
        noise_variance: [B].
        damping: weight of the old messages in the new ones, in [0, 1).
        shared_activity: whether all coefficients of a pixel are active together.
    """
    old = state.posterior
    spread = state.operator.energy(old.variance)
    predicted = state.prediction() - spread * state.score
    weight = link / (noise_variance[:, None, None, None] + spread)
    score = damping * state.score + (1 - damping) * weight * (observation - predicted)
    precision = state.operator.energy_adjoint(weight.expand_as(score.real))
    # a derivative can vanish, where nodes and pixel lie in one plane: such a coefficient stays at its prior
    variance = torch.maximum(precision, 1e-9 * precision[:, :1]).reciprocal()
    new = denoise(old.mean + variance * state.operator.adjoint(score), variance, prior, shared_activity)
    damped = replace(
        new,
        mean=damping * old.mean + (1 - damping) * new.mean,
        variance=damping * old.variance + (1 - damping) * new.variance,
    )
    return replace(state, posterior=damped, score=score)


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
