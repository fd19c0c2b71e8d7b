"""Layers of the unfolded network: the analytic steps, with learned scalars in place of settings.

A learned scalar is a bounded deviation from the analytic value, zero before training, so that it keeps its meaning.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unfolded_ogamp.imaging.greedy.rounds import free_phases
from unfolded_ogamp.imaging.greedy.settings import StepSettings
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.joint_step import JointParameters, JointState
from unfolded_ogamp.imaging.ogamp import screening
from unfolded_ogamp.imaging.ogamp.screening import ScreenedState
from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters, ImagingSettings
from unfolded_ogamp.imaging.phases.refinement import RefinementParameters, SynchronisationSettings
from unfolded_ogamp.imaging.problem import Problem

LARGEST_FACTOR = 4.0
LARGEST_DIFFERENCE = 2.0
LARGEST_DAMPING_SHIFT = 0.5  # in log-odds; with much less damping message passing diverges on some scenes


def bounded(deviation: Tensor, limit: float) -> Tensor:
    """Bound a deviation smoothly to -limit ... limit; small deviations hardly change."""
    return limit * torch.tanh(deviation / limit)


def bounded_factor(deviation: Tensor) -> Tensor:
    """A factor within 1/4 ... 4; it is 1 at zero deviation."""
    return bounded(deviation, math.log(LARGEST_FACTOR)).exp()


class ImagingLayer(nn.Module):
    """One OG-AMP iteration with learned damping, priors, noise share and recentring step.

    Deviations are log-odds for `damping` and `activity`, differences for `reflectivity_mean`, and logarithms of factors
    for all others.
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
        """The parameters with which this layer calls the analytic step."""
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

    def forward(self, state: ScreenedState, problem: Problem, observation: Tensor) -> ScreenedState:
        """One imaging iteration on the candidates, see `screening.image`."""
        return screening.image(state, problem, observation, self.values(), self.settings)


class SynchronisationLayer(nn.Module):
    """One synchronisation refinement with learned phase step (a bounded factor) and momentum (a bounded difference)."""

    def __init__(self, settings: SynchronisationSettings, least_active: int) -> None:
        super().__init__()
        self.settings, self.least_active = settings, least_active
        self.phase_step = nn.Parameter(torch.zeros(()))
        self.momentum = nn.Parameter(torch.zeros(()))

    def values(self) -> RefinementParameters:
        """The parameters with which this layer calls the analytic step."""
        return RefinementParameters(
            phase_step=self.settings.phase_step * bounded_factor(self.phase_step),
            momentum=self.settings.momentum + bounded(self.momentum, 1.0),
        )

    def forward(self, state: ScreenedState, problem: Problem) -> ScreenedState:
        """Refine the node phases on the predicted channel, see `screening.synchronise`."""
        return screening.synchronise(state, problem, self.settings, self.values(), self.least_active)


class JointLayer(nn.Module):
    """One joint step of positions, reflectivities and node phases with learned damping, step and prior weight.

    Before training the prior has full weight; all three are learned as bounded factors. A step that raises the cost of
    a scene, prior included, is refused.
    """

    def __init__(self, settings: StepSettings) -> None:
        super().__init__()
        self.settings = settings
        self.damping = nn.Parameter(torch.zeros(()))
        self.step = nn.Parameter(torch.zeros(()))
        self.prior = nn.Parameter(torch.zeros(()))

    def values(self) -> JointParameters:
        """The parameters with which this layer calls the analytic step."""
        return JointParameters(
            damping=bounded_factor(self.damping), step=bounded_factor(self.step), prior=bounded_factor(self.prior)
        )

    def forward(self, state: JointState, problem: Problem) -> JointState:
        """One joint step, see `joint_step.step`."""
        free = free_phases(state.model, problem, self.settings)
        return joint_step.step(state, problem, free, self.settings.largest_move, self.values())
