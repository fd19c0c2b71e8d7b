"""Targets with size: what they echo depends on the angle between the way in and the way out.

A target much smaller than a wavelength echoes alike in all directions. One with size adds multipoles, and if it is
round its echo is a series in the cosine of the bistatic angle: reflectivity x + sum_m c_m cos(m beta).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.estimators.joint import Columns
from unfolded_ogamp.estimators.problem import Problem
from unfolded_ogamp.estimators.sources import Sources
from unfolded_ogamp.operators import unit_vectors

ORDERS = 2  # of the series: dipoles and quadrupoles, targets of up to about half a wavelength
RIDGE = 1e-9  # of the normal equations, relative to their diagonal


def fitted(sources: Sources, problem: Problem, sized: Tensor) -> tuple[Sources, Problem]:
    """Reflectivities by least squares, and the problem with what else targets echo, where they have size, bool [B].

    In all other scenes nothing changes but that the problem is one of points.
    """
    point = replace(problem, anisotropic=torch.zeros_like(problem.csi))
    sized = sized & sources.used.any(1)
    if not sized.any():
        return sources, point
    scenes = sized.nonzero()[:, 0]
    reflectivity, channel = _least_squares(sources[scenes], point[scenes])
    values = sources.reflectivity.index_copy(0, scenes, reflectivity)
    return replace(sources, reflectivity=values), replace(
        point, anisotropic=point.anisotropic.index_copy(0, scenes, channel)
    )


def _least_squares(sources: Sources, problem: Problem) -> tuple[Tensor, Tensor]:
    """Reflectivities [B, S], and the channel of the series beside them [B, n_tx, n_rx, K]."""
    basis = columns(sources, problem)
    observation = problem.csi * sources.rotation - problem.los * problem.link
    gram = torch.einsum("bijksm,bijktn->bsmtn", basis.conj(), basis).flatten(3).flatten(1, 2)
    right = torch.einsum("bijksm,bijk->bsm", basis.conj(), observation).flatten(1)
    diagonal = gram.diagonal(dim1=1, dim2=2).real
    held = torch.where(diagonal > 0, RIDGE * diagonal, 1.0)
    solution = torch.linalg.solve(gram + torch.diag_embed(held), right).unflatten(1, basis.shape[-2:])
    series = torch.einsum("bijksm,bsm->bijk", basis[..., 1:], solution[..., 1:])
    return solution[..., 0], series


def columns(sources: Sources, problem: Problem) -> Tensor:
    """Columns of the sources times cos(m beta), m = 0 ... `ORDERS`: complex [B, n_tx, n_rx, K, S, 1 + ORDERS].

    beta is the angle between the directions from a source to Tx and to Rx; unused sources have zeros.
    """
    plain = Columns.at(sources, problem)
    tx, rx = (side[..., : plain.n_slots].movedim(1, 2) for side in (plain.tx, plain.rx))
    point = (tx[:, :, None] * rx[:, None]) * (problem.link[..., None] * sources.used[:, None, None, None])
    towards = (unit_vectors(nodes, sources.position) for nodes in (problem.array.tx, problem.array.rx))
    angle = torch.einsum("bdis,bdjs->bijs", *towards).clamp(-1, 1).acos()
    order = torch.arange(ORDERS + 1, dtype=angle.dtype, device=angle.device)
    return point[..., None] * (angle[..., None] * order).cos()[:, :, :, None]
