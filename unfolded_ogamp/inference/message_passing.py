"""Generalised approximate message passing (GAMP) with any operator and any prior: steps 3-5 of Algorithm 1.

The edge messages of the paper, one per observation and coefficient, are summed up in an estimate of every coefficient
and a prediction of every observation with an Onsager term: O(M + N) numbers instead of O(M N). S. Rangan, "Generalized
approximate message passing for estimation with random linear mixing", 2011.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from unfolded_ogamp.operators import Operator
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Posterior(Record):
    """Mean and variance of the coefficients; message passing needs nothing else.

    Attributes:
        mean: complex posterior mean [B, Q, N].
        variance: posterior variance [B, Q, N].
    """

    mean: Tensor
    variance: Tensor


PosteriorType = TypeVar("PosteriorType", bound=Posterior)
PriorPosterior = TypeVar("PriorPosterior", bound=Posterior, covariant=True)


class Prior(Protocol[PriorPosterior]):
    """Prior distribution of the coefficients."""

    def denoise(self, estimate: Tensor, variance: Tensor) -> PriorPosterior:
        """Posterior of coefficients that are observed as `estimate` ~ CN(coefficient, variance), [B, Q, N] each."""
        ...


@dataclass(frozen=True)
class SparsePosterior(Posterior):
    """Posterior of coefficients that are either active or zero.

    Attributes:
        log_odds: log-odds of activity [B, Q, N]; equal along Q where activity is shared.
        active_mean: posterior mean given activity (51) [B, Q, N].
        active_variance: posterior variance given activity (52) [B, Q, N].
    """

    log_odds: Tensor
    active_mean: Tensor
    active_variance: Tensor


@dataclass(frozen=True)
class BernoulliGaussian(Record):
    """Prior (32)-(34): with probability sigmoid(log_odds) all Q coefficients of a position are Gaussian, else zero.

    Attributes:
        log_odds: log-odds of activity [B, 1, 1 or N].
        mean: mean of the active coefficients [B, Q, 1 or N].
        variance: their variance E|x - mean|^2 [B, Q, 1 or N].
        shared_activity: whether the Q coefficients are active together (OG-AMP) or each on its own (GAMP).
    """

    log_odds: Tensor
    mean: Tensor
    variance: Tensor
    shared_activity: bool

    def denoise(self, estimate: Tensor, variance: Tensor) -> SparsePosterior:
        """Posterior (45)-(52) of coefficients observed as `estimate` ~ CN(coefficient, variance), [B, Q, N] each."""
        evidence = self.log_likelihood_ratio(estimate, variance)
        if self.shared_activity:
            evidence = evidence.sum(1, keepdim=True).expand_as(evidence)
        log_odds = self.log_odds + evidence
        gain = self.variance / (self.variance + variance)
        active_mean = self.mean + gain * (estimate - self.mean)
        return _posterior(log_odds.sigmoid(), log_odds, active_mean, gain * variance)

    def log_likelihood_ratio(self, estimate: Tensor, variance: Tensor) -> Tensor:
        """log Z(1) - log Z(0) of (40)-(41) [B, Q, N]: how much more likely a coefficient is active than zero."""
        spread = self.variance + variance
        active = torch.log(variance / spread) - (estimate - self.mean).abs().square() / spread
        return active + estimate.abs().square() / variance

    def initial(self, batch: int, n_positions: int, all_active: bool) -> SparsePosterior:
        """Step 1 of Algorithm 1: the prior itself, or that of an active position everywhere, as in the paper."""
        shape = (batch, self.mean.shape[1], n_positions)
        log_odds, mean, variance = (value.expand(shape) for value in (self.log_odds, self.mean, self.variance))
        probability = torch.ones_like(log_odds) if all_active else log_odds.sigmoid()
        return _posterior(probability, log_odds, mean, variance)


def _posterior(probability: Tensor, log_odds: Tensor, active_mean: Tensor, active_variance: Tensor) -> SparsePosterior:
    """Mean and variance of coefficients that are active with `probability`, and zero otherwise; [B, Q, N] each."""
    spread = probability * (1 - probability) * active_mean.abs().square()
    return SparsePosterior(
        mean=probability * active_mean,
        variance=probability * active_variance + spread,
        log_odds=log_odds,
        active_mean=active_mean,
        active_variance=active_variance,
    )


@dataclass(frozen=True)
class MessageState(Record, Generic[PosteriorType]):
    """State of message passing between two iterations.

    Attributes:
        operator: the dictionary at the present expansion points.
        posterior: posterior of the coefficients.
        score: scaled residual (y - Z) / (noise + V) of the last iteration, complex [B, ...].
    """

    operator: Operator
    posterior: PosteriorType
    score: Tensor

    def prediction(self) -> Tensor:
        """Observation [B, ...] that the posterior mean predicts."""
        return self.operator.forward(self.posterior.mean)


def init(operator: Operator, posterior: PosteriorType, observation: Tensor) -> MessageState[PosteriorType]:
    """Every message at the initial posterior of the prior; `observation` is complex [B, ...]."""
    return MessageState(operator, posterior, torch.zeros_like(observation))


def step(
    state: MessageState[PosteriorType],
    observation: Tensor,
    observed: Tensor,
    prior: Prior[PosteriorType],
    noise_variance: Tensor,
    damping: Tensor | float,
) -> MessageState[PosteriorType]:
    """One iteration of steps 3-5: (35)-(38) and (65)-(66) summed up, then the denoiser (40)-(46).

    Args:
        state: the state so far.
        observation: complex [B, ...].
        observed: 1.0 where there is an observation, else 0.0; broadcasts to [B, ...].
        prior: prior of the coefficients.
        noise_variance: [B].
        damping: weight of the old messages in the new ones, in [0, 1).
    """
    old = state.posterior
    spread = state.operator.energy(old.variance)
    predicted = state.prediction() - spread * state.score
    weight = observed / (noise_variance.reshape(-1, *[1] * (observation.ndim - 1)) + spread)
    score = damping * state.score + (1 - damping) * weight * (observation - predicted)
    precision = state.operator.energy_adjoint(weight.expand_as(score.real))
    # a derivative can vanish, where nodes and pixel lie in one plane: such a coefficient stays at its prior
    variance = torch.maximum(precision, 1e-9 * precision[:, :1]).reciprocal()
    new = prior.denoise(old.mean + variance * state.operator.adjoint(score), variance)
    damped = replace(
        new,
        mean=damping * old.mean + (1 - damping) * new.mean,
        variance=damping * old.variance + (1 - damping) * new.variance,
    )
    return replace(state, posterior=damped, score=score)
