"""Uncertainty of positions, amplitudes and node phases, from the curvature of the joint likelihood.

The posterior variances of message passing assume known node phases, and are far too small. A shift of the image and a
tilt of all node phases change the CSI almost alike, and only the joint curvature contains this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.estimate import Scatterers
from unfolded_ogamp.imaging.likelihood.normal_equations import free_unknowns, normal_matrix
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.records import Record, choose

GAUGE_DAMPING = 1e-10  # makes the gauge invertible; small compared with the smallest observable eigenvalues


@dataclass(frozen=True)
class Uncertainty(Record):
    """Variances of the unknowns, with all others free.

    Attributes:
        position: covariance of every position [B, S, D, D], [m^2].
        amplitude: variance of every |x| [B, S]. The phase of x has none: without a line of sight it cannot be
            distinguished from the phase of all Tx.
        tx_phase, rx_phase: variances of the node phases [B, n_tx], [B, n_rx], [rad^2], without the mean of each side,
            which cannot be observed without a line of sight.
        tx_shift, rx_shift: variance of every coordinate of a node [B, n_tx, D], [B, n_rx, D], [m^2].
        tx_level, rx_level: variances of the logarithms of the gains [B, n_tx], [B, n_rx].
    """

    position: Tensor
    amplitude: Tensor
    tx_phase: Tensor
    rx_phase: Tensor
    tx_shift: Tensor
    rx_shift: Tensor
    tx_level: Tensor
    rx_level: Tensor

    def times(self, noise: Tensor) -> Uncertainty:
        """The variances at a noise variance [B], if these are per unit of it."""
        return self.map(lambda value: value * noise.reshape(-1, *[1] * (value.ndim - 1)))

    def over(self, noise: Tensor) -> Uncertainty:
        """The variances per unit of a noise variance [B]."""
        return self.times(noise.reciprocal())


def uncertainty(model: Model, problem: Problem) -> Uncertainty:
    """Inverse Fisher information of sources and node phases at a model, per unit of noise variance; nodes as listed.

    It is infinite in scenes where it is singular.

    Amplitudes are differentiated too, see `bounds.imaging`.
    """
    sources, nodes, matrix = model.sources, model.sources.nodes, normal_matrix(model, problem)
    moving = free_unknowns(sources, ~problem.phases_known)
    inverse, failed = least_squares.inverse(matrix, GAUGE_DAMPING, moving)
    covariance = inverse / 2  # complex noise of variance sigma^2 has the Fisher matrix 2 J^H J / sigma^2
    n_slots, dimension = sources.position.shape[1:]
    first, second, third = n_slots * dimension, n_slots * (dimension + 1), n_slots * (dimension + 2)

    between = covariance[:, :first, :first].unflatten(2, (dimension, n_slots)).unflatten(1, (dimension, n_slots))
    position = between.diagonal(dim1=2, dim2=4).movedim(-1, 1)

    diagonal = covariance.diagonal(dim1=1, dim2=2)
    mixed = covariance[:, first:second, second:third].diagonal(dim1=1, dim2=2)
    direction = sources.reflectivity / sources.reflectivity.abs().clamp(min=torch.finfo(covariance.dtype).tiny)
    amplitude = (
        direction.real.square() * diagonal[:, first:second] + direction.imag.square() * diagonal[:, second:third]
    )
    amplitude = amplitude + 2 * direction.real * direction.imag * mixed

    phase = observable_variance(covariance[:, third:, third:], problem.link[..., 0])
    phase = torch.where(problem.phases_known[:, None], 0, phase)
    tx_phase, rx_phase = phase.split([sources.tx_phase.shape[1], sources.rx_phase.shape[1]], dim=1)
    listed = (torch.zeros_like(value) for value in (nodes.tx_shift, nodes.rx_shift, nodes.tx_level, nodes.rx_level))
    result = Uncertainty(position, amplitude.clamp(min=0), tx_phase, rx_phase, *listed)
    return choose(failed, result.map(lambda value: torch.full_like(value, torch.inf)), result)


def observable_variance(covariance: Tensor, link: Tensor) -> Tensor:
    """Variances [B, n] of node phases, Tx first, without the unobservable mean of each side.

    The mean weighs nodes by their links [B, n_tx, n_rx]. `covariance` [B, n, n] is zero for nodes that the CSI does not
    determine; their variance is infinite.
    """
    n_tx = link.shape[1]
    mean = torch.zeros_like(covariance)
    mean[:, :n_tx, :n_tx], mean[:, n_tx:, n_tx:] = link.sum(2)[:, None], link.sum(1)[:, None]
    rest = torch.eye(covariance.shape[1]).to(mean) - mean / link.sum((1, 2))[:, None, None]
    variance = (rest @ covariance @ rest.mT).diagonal(dim1=1, dim2=2).clamp(min=0)
    return torch.where(covariance.diagonal(dim1=1, dim2=2) == 0, torch.inf, variance)


@torch.no_grad()
def with_joint_std(
    scatterers: Sequence[Scatterers], phases: NodePhases, problem: Problem, residual: Tensor
) -> tuple[list[Scatterers], tuple[Tensor, Tensor]]:
    """Scatterers with the joint covariance of their positions, and standard deviations of the node phases.

    In scenes with more unknowns than measurements, scatterers do not change and phases have infinite deviations.

    Args:
        scatterers: one list per scene, reflectivities in the units of the CSI.
        phases: node phases.
        problem: geometry and units.
        residual: mean |y - model|^2 over the links, in problem units [B].

    Returns:
        The scatterers; standard deviations of Tx and Rx phases [B, n_tx], [B, n_rx], [rad], see `Estimate`.
    """
    result = []
    tx_std, rx_std = (torch.full_like(side[..., 0], torch.inf) for side in (phases.tx, phases.rx))
    for scene, found in enumerate(scatterers):
        one = problem[scene : scene + 1].to(dtype=torch.float64)
        position, reflectivity = found.position.double(), found.reflectivity / problem.reflectivity_scale[scene]
        n_nodes = phases.tx.shape[1] + phases.rx.shape[1]
        unknowns = len(position) * (position.shape[-1] + 2) + n_nodes
        measurements = 2 * float(one.link.sum()) * one.csi.shape[-1]
        if len(position) > 0 and unknowns < measurements:
            sources = Sources.points(
                position=position[None],
                reflectivity=reflectivity[None].to(torch.complex128),
                used=torch.ones(1, len(position), dtype=torch.bool, device=position.device),
                phases=(phases.tx[scene : scene + 1, :, 0].double(), phases.rx[scene : scene + 1, :, 0].double()),
                problem=one,
            )
            noise = residual[scene].double() / (1 - unknowns / measurements)
            known = uncertainty(evaluate(sources, one), one)
            found = replace(found, covariance=(known.position[0] * noise).to(found.position.dtype))
            tx_std[scene] = (known.tx_phase[0] * noise).sqrt().to(tx_std.dtype)
            rx_std[scene] = (known.rx_phase[0] * noise).sqrt().to(rx_std.dtype)
        result.append(found)
    return result, (tx_std, rx_std)
