"""Layers of the unfolded network: the analytic steps, tuned by learned scalars instead of settings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unfolded_ogamp.estimators import alternating, off_grid_gamp
from unfolded_ogamp.estimators.alternating import AlternatingSettings, AlternatingState
from unfolded_ogamp.estimators.imaging_settings import ImagingParameters, ImagingSettings
from unfolded_ogamp.estimators.problem import Problem

LARGEST_FACTOR = 4.0
LARGEST_DIFFERENCE = 2.0
LARGEST_DAMPING_SHIFT = 0.5  # in log-odds: with much less damping message passing diverges on some scenes


def bounded(deviation: Tensor, limit: float) -> Tensor:
    """A deviation that stays within -limit ... limit and is itself where it is small."""
    return limit * torch.tanh(deviation / limit)


def bounded_factor(deviation: Tensor) -> Tensor:
    """A positive factor, 1 at zero deviation, that stays within 1/4 ... 4: learned scalars keep their meaning."""
    return bounded(deviation, math.log(LARGEST_FACTOR)).exp()


class ImagingLayer(nn.Module):
    """One OG-AMP iteration whose damping, priors, noise share and recentring step are learned.

    Each learned scalar is a deviation from the analytic value, zero at the start and bounded: log-odds
    for `damping` and `activity`, a difference for `reflectivity_mean`, the logarithm of a factor for all others.
    """

    def __init__(self, settings: ImagingSettings) -> None:
        super().__init__()
        self.settings = settings
        self.activity = nn.Parameter(torch.zeros(()))
        self.reflectivity_mean = nn.Parameter(torch.zeros(()))
        self.reflectivity_std = nn.Parameter(torch.zeros(()))
        self.offset_std = nn.Parameter(torch.zeros(()))
        self.noise_share = nn.Parameter(torch.zeros(()))
        self.damping = nn.Parameter(torch.zeros(()))
        self.recentring_step = nn.Parameter(torch.zeros(()))

    def values(self) -> ImagingParameters:
        """The parameters this layer hands to the analytic step."""
        start = ImagingParameters.of(self.settings)
        damping = torch.as_tensor(start.damping, dtype=self.damping.dtype)
        return ImagingParameters(
            activity=start.activity + bounded(self.activity, LARGEST_DIFFERENCE),
            reflectivity_mean=start.reflectivity_mean + bounded(self.reflectivity_mean, LARGEST_DIFFERENCE),
            reflectivity_std=start.reflectivity_std * bounded_factor(self.reflectivity_std),
            offset_std=start.offset_std * bounded_factor(self.offset_std),
            noise_share=start.noise_share * bounded_factor(self.noise_share),
            damping=(damping.logit() + bounded(self.damping, LARGEST_DAMPING_SHIFT)).sigmoid(),
            recentring_step=start.recentring_step * bounded_factor(self.recentring_step),
        )

    def forward(
        self, state: AlternatingState, problem: Problem, observation: Tensor, recentring: bool
    ) -> AlternatingState:
        """One imaging iteration, see `off_grid_gamp.step`."""
        imaging = off_grid_gamp.step(state.imaging, problem, observation, self.values(), self.settings, recentring)
        return alternating.accept(alternating.with_imaging(state, imaging), state)


class SynchronisationLayer(nn.Module):
    """One synchronisation refinement whose phase step and momentum are learned: over-relaxation as the block needs it.

    `phase_step` deviates by a bounded factor, `momentum` by a bounded difference; both are zero at the start.
    """

    def __init__(self, settings: AlternatingSettings) -> None:
        super().__init__()
        self.settings = settings
        self.phase_step = nn.Parameter(torch.zeros(()))
        self.momentum = nn.Parameter(torch.zeros(()))

    def values(self) -> dict[str, Tensor]:
        """The phase step and the momentum this layer hands to the analytic step."""
        start = self.settings.synchronisation
        return {
            "phase_step": start.phase_step * bounded_factor(self.phase_step),
            "momentum": start.momentum + bounded(self.momentum, 1.0),
        }

    def forward(self, state: AlternatingState, before: AlternatingState, problem: Problem) -> AlternatingState:
        """Refine the node phases, or undo the block since `before`, see `alternating.end_block`."""
        values = self.values()
        return alternating.end_block(state, before, problem, self.settings, values["phase_step"], values["momentum"])
