"""Autofocus: node phases that make the back-projected image sharp, without knowledge of the scatterers.

Wrong phases turn the image into speckle; right phases concentrate the same power in few peaks. The sharpness, the sum
of cubed amplitudes, measures this. It is convex in the CSI, and its gradient is the channel of the image weighted by
its own amplitude. A fit of the node phases to the gradient never lowers the sharpness; over-relaxed fits mostly raise
it faster. From unknown phases a few dozen steps suffice, where a search for one scatterer at a time finds false ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.imaging.phases import refinement
from unfolded_ogamp.imaging.phases.refinement import NodePhases, SynchronisationSettings
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.operators.search_grid import Images
from unfolded_ogamp.physics import link_phasor
from unfolded_ogamp.records import choose
from unfolded_ogamp.settings import Settings, at_least, positive, within


@dataclass(frozen=True)
class AutofocusSettings(Settings):
    """Settings of autofocus.

    Attributes:
        spacing: largest distance between the positions of the image along a coordinate, in wavelengths.
        steps: largest number of steps.
        tolerance: a scene has converged when no node phase moves by more than this, [rad].
        phase_step, momentum: see `SynchronisationSettings`.
        alignment_iterations: alternations between Tx and Rx in a step.
    """

    spacing: Annotated[float, positive] = 0.35
    steps: Annotated[int, at_least(1)] = 30
    tolerance: Annotated[float, positive] = 0.1
    phase_step: Annotated[float, within("(0, 2)")] = 1.7
    momentum: Annotated[float, within("[0, 1)")] = 0.5
    alignment_iterations: Annotated[int, at_least(1)] = 5

    @property
    def synchronisation(self) -> SynchronisationSettings:
        """Settings of the fit of the phases to the gradient."""
        return SynchronisationSettings(
            method="alignment",
            alignment_iterations=self.alignment_iterations,
            node_phase="common",
            phase_step=self.phase_step,
            momentum=self.momentum,
        )


def sharpness(image: Tensor) -> Tensor:
    """Sum of the cubed amplitudes [B] of a normalised image [B, Q]."""
    return image.abs().pow(3).sum(-1)


def focus(
    problem: Problem, phases: NodePhases, search_grid: Images, settings: AutofocusSettings
) -> tuple[NodePhases, Tensor]:
    """Node phases of a sharper image, and the factor by which the sharpness grows [B]; 1 without scattered links.

    Args:
        problem: geometry and CSI.
        phases: start, one phase per node [B, n, 1].
        search_grid: positions of the image.
        settings: settings of autofocus.
    """
    start, moving = phases, torch.ones_like(problem.grid.pixel, dtype=torch.bool)
    for _ in range(settings.steps):
        phases = choose(moving, step(problem, phases, search_grid, settings), phases)
        moving = moving & (torch.cat([phases.tx_move, phases.rx_move], dim=1).abs().amax((1, 2)) > settings.tolerance)
        if not moving.any():
            break
    before, after = (sharpness(image_of(problem, one, search_grid)) for one in (start, phases))
    gain = torch.where(before > 0, after / before, 1)
    return choose(gain >= 1, phases, start), gain.clamp(min=1)


def image_of(problem: Problem, phases: NodePhases, search_grid: Images) -> Tensor:
    """Normalised image [B, Q] of the CSI at given phases, from the links without a line of sight."""
    return search_grid.back_project(problem.csi * link_phasor(phases.tx, phases.rx) * scattered(problem))


def scattered(problem: Problem) -> Tensor:
    """Links of the image [B, n_tx, n_rx, 1]: those without a line of sight, which would dominate the image."""
    return problem.link * (problem.los.abs().amax(-1, keepdim=True) == 0)


def step(problem: Problem, phases: NodePhases, search_grid: Images, settings: AutofocusSettings) -> NodePhases:
    """Fit node phases to the gradient of the sharpness, plus the line of sight where there is one.

    The gradient has an arbitrary scale; it is scaled to the CSI by least squares.
    """
    link = scattered(problem)
    observation = problem.csi * link_phasor(phases.tx, phases.rx) * link
    image = search_grid.back_project(observation)
    slope = search_grid.channel(image * image.abs()).to(observation.dtype) * link
    power = (slope.real.square() + slope.imag.square()).sum((1, 2, 3)).clamp(min=torch.finfo(slope.real.dtype).tiny)
    scale = (slope.conj() * observation).real.sum((1, 2, 3)) / power
    return refinement.step(
        problem.csi,
        problem.los + scale[:, None, None, None] * slope,
        problem.link,
        phases,
        settings.synchronisation,
    )
