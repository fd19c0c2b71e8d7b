"""How certain the positions of an estimate are, from the curvature of the likelihood with everything else unknown too.

What message passing itself thinks of its offsets takes the node phases for known. It is too sure by far: the image
shifts while all node phases tilt, and only the joint curvature shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.estimate import Estimate, Scatterers
from unfolded_ogamp.estimators import joint
from unfolded_ogamp.estimators.problem import Problem, pose
from unfolded_ogamp.estimators.sources import Sources
from unfolded_ogamp.estimators.synchronisation import NodePhases
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid


@torch.no_grad()
def with_joint_std(
    scatterers: Sequence[Scatterers], phases: NodePhases, problem: Problem, residual: Tensor
) -> list[Scatterers]:
    """The scatterers of every scene with the joint standard deviation of their positions.

    A scene whose unknowns outnumber its measurements keeps what it has.

    Args:
        scatterers: one list per scene, reflectivities in the units of the CSI.
        phases: node phases.
        problem: geometry and units.
        residual: mean |y - model|^2 over the links, in problem units [B].
    """
    result = []
    for scene, found in enumerate(scatterers):
        one = problem[scene : scene + 1].to(dtype=torch.float64)
        sources = _sources(found, phases.tx[scene, :, 0], phases.rx[scene, :, 0], float(one.reflectivity_scale))
        noise = _noise(sources, one, residual[scene].double())
        if len(found.position) > 0 and noise is not None:
            std = (joint.uncertainty(sources, one)[0][0] * noise).sqrt()
            found = replace(found, position_std=std.to(found.position.dtype))
        result.append(found)
    return result


@torch.no_grad()
def node_phase_std(estimate: Estimate, csi: Csi, array: NodeArray, grid: PixelGrid) -> Tensor:
    """Standard deviations of the node phases of a batch of one: [n_tx + n_rx], [rad], Tx first.

    See `joint.phase_uncertainty`; inf where the measurements do not hold them.
    """
    problem = pose(csi, array, grid, None).to(dtype=torch.float64)
    sources = _sources(estimate.scatterers[0], estimate.tx_phase[0, :, 0], estimate.rx_phase[0, :, 0], 1.0)
    noise = _noise(sources, problem, estimate.residual[0].double() / problem.unit[0].square())
    variance = joint.phase_uncertainty(sources, problem)[0]
    return torch.full_like(variance, torch.inf) if noise is None else (variance * noise).sqrt()


def _sources(scatterers: Scatterers, tx_phase: Tensor, rx_phase: Tensor, scale: float) -> Sources:
    """Scatterers and node phases [n_tx], [n_rx] as a batch of one; `scale` is the reflectivity that is 1."""
    return Sources(
        position=scatterers.position[None].double(),
        reflectivity=(scatterers.reflectivity[None] / scale).to(torch.complex128),
        used=torch.ones_like(scatterers.probability[None], dtype=torch.bool),
        tx_phase=tx_phase[None].double(),
        rx_phase=rx_phase[None].double(),
    )


def _noise(sources: Sources, problem: Problem, residual: Tensor) -> Tensor | None:
    """Noise variance that the mean residual of a batch of one shows; None if unknowns outnumber measurements."""
    n_scatterers, dimension = sources.position.shape[1:]
    unknowns = n_scatterers * (dimension + 2) + sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    measurements = 2 * float(problem.link.sum()) * problem.csi.shape[-1]
    return residual / (1 - unknowns / measurements) if unknowns < measurements else None
