"""How certain positions and node phases of an estimate are, from the curvature of the joint likelihood.

What message passing itself thinks of its offsets takes the node phases for known. It is too sure by far: the image
shifts while all node phases tilt, and only the joint curvature shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.estimate import Scatterers
from unfolded_ogamp.estimators import curvature
from unfolded_ogamp.estimators.problem import Problem
from unfolded_ogamp.estimators.sources import Sources
from unfolded_ogamp.estimators.synchronisation import NodePhases


@torch.no_grad()
def with_joint_std(
    scatterers: Sequence[Scatterers], phases: NodePhases, problem: Problem, residual: Tensor
) -> tuple[list[Scatterers], tuple[Tensor, Tensor]]:
    """The scatterers of every scene with the joint covariance of their positions; and how certain the phases are.

    A scene whose unknowns outnumber its measurements keeps what it has, and its phases are not certain at all.

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
            sources = Sources(
                position=position[None],
                reflectivity=reflectivity[None].to(torch.complex128),
                used=torch.ones(1, len(position), dtype=torch.bool, device=position.device),
                tx_phase=phases.tx[scene : scene + 1, :, 0].double(),
                rx_phase=phases.rx[scene : scene + 1, :, 0].double(),
            )
            noise = residual[scene].double() / (1 - unknowns / measurements)
            known = curvature.uncertainty(sources, one)
            found = replace(found, covariance=(known.position[0] * noise).to(found.position.dtype))
            tx_std[scene] = (known.tx_phase[0] * noise).sqrt().to(tx_std.dtype)
            rx_std[scene] = (known.rx_phase[0] * noise).sqrt().to(rx_std.dtype)
        result.append(found)
    return result, (tx_std, rx_std)
