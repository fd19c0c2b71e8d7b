"""OG-AMP: message passing on a dictionary that moves with the scatterers, Algorithm 1 with its step 6."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters, ImagingSettings
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.inference import message_passing
from unfolded_ogamp.inference.message_passing import BernoulliGaussian, MessageState, SparsePosterior
from unfolded_ogamp.operators import Operator
from unfolded_ogamp.operators.multistatic import MultistaticOperator
from unfolded_ogamp.operators.off_grid import OffGridOperator
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class ImagingState(Record):
    """State of imaging between two iterations.

    Attributes:
        messages: message passing on the dictionary as it is expanded now.
        offset: expansion point of each pixel, relative to its centre [B, N, D], [m].
        amplitude: scale of the reflectivity prior in problem units [B].
    """

    messages: MessageState[SparsePosterior]
    offset: Tensor
    amplitude: Tensor


def prior_of(
    problem: Problem, amplitude: Tensor, parameters: ImagingParameters, settings: ImagingSettings
) -> BernoulliGaussian:
    """Prior (32)-(34) of (x, s_1, ..., s_D) in problem units, offsets in metres."""
    ones = torch.ones_like(amplitude)[:, None, None]
    amplitude = amplitude[:, None, None]
    dimension = problem.grid.centre.shape[-1] if settings.off_grid else 0
    shift_std = amplitude * problem.grid.pixel[:, None, None] * parameters.offset_std
    shifts = ones.expand(-1, dimension, -1)
    return BernoulliGaussian(
        log_odds=ones * parameters.activity,
        mean=torch.cat([amplitude * parameters.reflectivity_mean, 0 * shifts], dim=1).to(problem.csi.dtype),
        variance=torch.cat([(amplitude * parameters.reflectivity_std).square(), shift_std.square() * shifts], dim=1),
        shared_activity=settings.shared_activity,
    )


def init(
    problem: Problem, observation: Tensor, parameters: ImagingParameters, settings: ImagingSettings
) -> ImagingState:
    """Step 1 of Algorithm 1, expanded at the pixel centres; `observation` is as in `step`."""
    amplitude = torch.ones_like(problem.grid.pixel)
    offset = torch.zeros_like(problem.grid.centre)
    prior = prior_of(problem, amplitude, parameters, settings)
    posterior = prior.initial(len(offset), offset.shape[1], settings.all_active)
    messages = message_passing.init(expand(problem, offset, settings), posterior, observation)
    return ImagingState(messages, offset, amplitude)


def step(
    state: ImagingState,
    problem: Problem,
    observation: Tensor,
    parameters: ImagingParameters,
    settings: ImagingSettings,
    recentring: bool,
) -> ImagingState:
    """One iteration of Algorithm 1: steps 3-5, and step 6 if `recentring` is set.

    Args:
        state: the state so far.
        problem: geometry and links.
        observation: CSI without phases and line of sight, in problem units [B, n_tx, n_rx, K].
        parameters: tuning parameters of the iteration.
        settings: variant of the iteration.
        recentring: whether the active pixels move to their estimated offsets afterwards.

    Raises:
        ValueError: if `known_noise` is set and the CSI has no noise variance.
    """
    if not settings.known_noise:
        noise_variance = parameters.noise_share * problem.mean_power(observation - state.messages.prediction())
    elif bool((problem.noise_variance > 0).all()):
        noise_variance = problem.noise_variance
    else:
        raise ValueError("known_noise needs CSI with a noise variance, got CSI without one")
    prior = prior_of(problem, state.amplitude, parameters, settings)
    messages = message_passing.step(
        state.messages, observation, problem.link, prior, noise_variance, parameters.damping
    )
    state = replace(state, messages=messages)
    return recentre(state, problem, parameters, settings) if recentring and settings.off_grid else state


def expand(problem: Problem, offset: Tensor, settings: ImagingSettings) -> Operator:
    """The dictionary expanded at `offset` [B, N, D] [m] from the pixel centres."""
    kind = OffGridOperator if settings.off_grid else MultistaticOperator
    return kind.at(problem.array, problem.grid.centre + offset, problem.dictionary_scale)


def estimated_shift(state: ImagingState) -> Tensor:
    """Estimated offset Re(s / x) of each scatterer from the expansion point of its pixel [B, N, D], [m]."""
    mean = state.messages.posterior.active_mean
    reflectivity, shift = mean[:, :1], mean[:, 1:]
    if shift.shape[1] == 0:  # no offsets without the off-grid model
        return torch.zeros_like(state.offset)
    power = reflectivity.real.square() + reflectivity.imag.square()
    return ((shift * reflectivity.conj()).real / (power + 1e-6)).mT


def recentre(
    state: ImagingState, problem: Problem, parameters: ImagingParameters, settings: ImagingSettings
) -> ImagingState:
    """Step 6 of Algorithm 1: move the expansion points of active pixels to the estimated positions.

    The move is subtracted from the offset coefficients, so that the predicted CSI does not change to first order.
    """
    active = (state.messages.posterior.log_odds[:, 0] > 0)[..., None]
    limit = problem.grid.pixel[:, None, None] * settings.offset_limit
    target = state.offset + parameters.recentring_step * estimated_shift(state)
    offset = torch.where(active, torch.maximum(torch.minimum(target, limit), -limit), state.offset)
    moved = (offset - state.offset).mT
    posterior = state.messages.posterior
    posterior = replace(
        posterior,
        mean=_shifted(posterior.mean, moved),
        active_mean=_shifted(posterior.active_mean, moved),
    )
    messages = replace(state.messages, operator=expand(problem, offset, settings), posterior=posterior)
    return replace(state, messages=messages, offset=offset)


def search(state: ImagingState, problem: Problem, observation: Tensor, settings: ImagingSettings) -> ImagingState:
    """Move the expansion point of each inactive pixel to the largest matched-filter output within the pixel.

    The first-order model covers a third of the power of a scatterer lambda / 4 from the expansion point, and next to
    nothing at lambda / 3. An expansion at the pixel centre therefore misses most scatterers of a large pixel.
    """
    found = best_offset(problem, observation - state.messages.prediction(), settings.oversampling)
    inactive = (state.messages.posterior.log_odds[:, 0] <= 0)[..., None]
    offset = torch.where(inactive, found, state.offset)
    mean = state.messages.posterior.mean
    shift = torch.where(inactive.mT, torch.zeros_like(mean[:, 1:]), mean[:, 1:])
    posterior = replace(state.messages.posterior, mean=torch.cat([mean[:, :1], shift], dim=1))
    messages = replace(state.messages, operator=expand(problem, offset, settings), posterior=posterior)
    return replace(state, messages=messages, offset=offset)


@torch.no_grad()
def best_offset(problem: Problem, residual: Tensor, oversampling: int) -> Tensor:
    """The offset [B, N, D] [m] of the largest matched-filter output among `oversampling` positions per pixel and axis.

    Args:
        problem: geometry and links.
        residual: complex [B, n_tx, n_rx, K].
        oversampling: positions per pixel and axis.
    """
    pixel = problem.grid.pixel[:, None, None]
    axis = [(i - (oversampling - 1) / 2) / oversampling for i in range(oversampling)]
    offset = torch.zeros_like(problem.grid.centre)
    best = torch.zeros_like(offset[..., 0])
    for candidate in itertools.product(axis, repeat=offset.shape[-1]):
        trial = (torch.tensor(candidate, dtype=pixel.dtype, device=pixel.device) * pixel).expand_as(offset)
        operator = MultistaticOperator.at(problem.array, problem.grid.centre + trial, problem.dictionary_scale)
        filtered = operator.adjoint(residual)[:, 0].abs().square()
        response = filtered / operator.energy_adjoint(problem.link.expand_as(residual.real))[:, 0]
        better = response > best
        best, offset = torch.where(better, response, best), torch.where(better[..., None], trial, offset)
    return offset


def adapt_amplitude(state: ImagingState) -> ImagingState:
    """Adapt the scale of the reflectivity prior to the root mean square reflectivity of the active pixels.

    This is the expectation-maximisation update, with one pseudo-count at the last scale.
    """
    posterior = state.messages.posterior
    probability = posterior.log_odds[:, 0].sigmoid()
    power = (probability * posterior.active_mean[:, 0].abs().square()).sum(-1)
    amplitude = ((state.amplitude.square() + power) / (1 + probability.sum(-1))).sqrt()
    return replace(state, amplitude=amplitude)


def _shifted(coefficients: Tensor, moved: Tensor) -> Tensor:
    """Coefficients (x, s) of the same wave after the expansion point has moved by [B, D, N]: s - x * moved."""
    reflectivity, shift = coefficients[:, :1], coefficients[:, 1:]
    return torch.cat([reflectivity, shift - moved * reflectivity], dim=1)
