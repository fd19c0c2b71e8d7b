"""Corrections of the channel for extended targets, double scattering and near fields of antennas.

An extended target adds multipoles: the reflectivity of a round target is a series in the bistatic angle beta,
x + sum_m c_m cos(m beta). Double scattering between sources s and t adds, to first order (Foldy, 1945),
c sum_{s != t} x_s x_t exp(-j kappa d_st) / d_st along the path Tx, s, t, Rx. Both are linear in unknown coefficients,
and so is the near-field series of the antennas. Variable projection eliminates these coefficients (Kaufman, "A variable
projection method for solving separable nonlinear least squares problems", 1975).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood import joint_step, normal_equations
from unfolded_ogamp.imaging.likelihood.jacobian import jacobian, phase_jacobian
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.mismatch import line_of_sight
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.physics import distances, node_wave, unit_vectors
from unfolded_ogamp.records import place

ORDERS = 2  # of the series: dipoles and quadrupoles, targets of up to about half a wavelength
RIDGE = 1e-9  # added to the normal equations, relative to their diagonal, against linearly dependent columns


def refit(model: Model, problem: Problem) -> Model:
    """The model with reflectivities and corrections fitted by least squares, in scenes with a correction."""
    scenes = model.correction.present.nonzero()[:, 0]
    if len(scenes) == 0:
        return model
    return place(_refitted(model[scenes], problem[scenes]), scenes, model)


def step(state: JointState, problem: Problem, free_phases: Tensor, largest_move: float) -> JointState:
    """`joint_step.step` with free corrections: the Jacobian is projected on the complement of their columns.

    Args:
        state: state after a refit; all scenes have a correction.
        problem: geometry and CSI.
        free_phases, largest_move: as in `joint_step.step`.
    """
    model = state.model
    derivatives = _jacobian(model, problem)
    basis = _basis(model, problem)
    derivatives = derivatives - basis @ least_squares.solve_many(basis.mH @ basis, basis.mH @ derivatives, RIDGE)
    gradient = (derivatives.mH @ model.residual.flatten(1)[..., None])[..., 0].real
    moving = normal_equations.free_unknowns(model.sources, free_phases)
    change = least_squares.solve((derivatives.mH @ derivatives).real, gradient, state.damping, moving)
    moved = joint_step.move(model.sources, change, largest_move * problem.array.wavelength)
    return joint_step.accept(state, _refitted(evaluate(moved, problem, model.correction), problem))


def _jacobian(model: Model, problem: Problem) -> Tensor:
    return torch.cat([jacobian(model, problem).image, phase_jacobian(model.channel)], dim=-1).flatten(1, 3)


def _refitted(model: Model, problem: Problem) -> Model:
    """The model with reflectivities and corrections of all scenes fitted by least squares."""
    sources, correction, n_slots = model.sources, model.correction, model.sources.used.shape[1]
    points = multipoles(model, problem)[..., 0].flatten(1, 3)
    basis = torch.cat([points, _basis(model, problem)], dim=-1)
    observation = ((problem.csi * sources.rotation - problem.los) * problem.link).flatten(1)[..., None]
    solution = least_squares.solve_many(basis.mH @ basis, basis.mH @ observation, RIDGE)
    channel = (basis[..., n_slots:] @ solution[:, n_slots:])[..., 0].unflatten(1, problem.csi.shape[1:])
    count = 2 * (basis[..., n_slots:] != 0).any(1).sum(1).to(channel.real)
    fitted = replace(correction, channel=channel, count=count)
    return evaluate(replace(sources, reflectivity=solution[:, :n_slots, 0]), problem, fitted)


def _basis(model: Model, problem: Problem) -> Tensor:
    """Columns of all corrections, zero for those that a scene does not have: complex [B, n_tx * n_rx * K, C]."""
    extended, near_field = model.correction.extended & model.sources.used.any(1), model.correction.near_field
    targets = [multipoles(model, problem)[..., 1:].flatten(-2), second_echoes(model, problem)[..., None]]
    antennas = [near_field_echoes(model, problem), line_of_sight.series(problem) * problem.link[..., None]]
    parts = [
        torch.cat(part, dim=-1) * asked[:, None, None, None, None]
        for part, asked in ((targets, extended), (antennas, near_field))
    ]
    return torch.cat(parts, dim=-1).flatten(1, 3)


def multipoles(model: Model, problem: Problem) -> Tensor:
    """Columns of the sources times cos(m beta), m = 0 ... `ORDERS`: complex [B, n_tx, n_rx, K, S, 1 + ORDERS].

    beta is the angle between the directions from a source to Tx and Rx. Columns of unused sources are zero.
    """
    sources, (tx, rx) = model.sources, model.columns.plain()
    point = (tx.movedim(1, 2)[:, :, None] * rx.movedim(1, 2)[:, None]) * problem.link[..., None]
    towards = (unit_vectors(nodes, sources.position) for nodes in (problem.array.tx, problem.array.rx))
    angle = torch.einsum("bdis,bdjs->bijs", *towards).clamp(-1, 1).acos()
    order = torch.arange(ORDERS + 1, dtype=angle.dtype, device=angle.device)
    series = torch.where(sources.used[:, None, None, :, None], (angle[..., None] * order).cos(), 0)
    return point[..., None] * series[:, :, :, None]


def second_echoes(model: Model, problem: Problem) -> Tensor:
    """Channel of double scattering between sources, up to a common factor: complex [B, n_tx, n_rx, K]."""
    sources = model.sources
    tx, rx = (side * sources.reflectivity[:, None, None] for side in model.columns.plain())
    distance = distances(sources.position, sources.position)
    apart = sources.used[:, :, None] & sources.used[:, None] & (distance > 0)
    between = node_wave(problem.array, torch.where(apart, distance, 1.0), None) * apart[:, None]
    return ((tx @ between) @ rx.mT).movedim(1, -1) * problem.link


def near_field_echoes(model: Model, problem: Problem) -> Tensor:
    """Near-field terms of the echoes, one column per term: complex [B, n_tx, n_rx, K, 3].

    On either way, Tx to source and source to Rx, the field is a series in u = 1 / (kappa d), see `line_of_sight`. The
    columns are the terms u and u^2 of one way, and the product of both terms u; all sources share the coefficients.
    """
    sources, sides = model.sources, []
    for side, nodes in zip(model.columns.plain(), (problem.array.tx, problem.array.rx), strict=True):
        length = distances(nodes, sources.position)[:, None] * problem.array.wavenumber[:, :, None, None]
        length = torch.where(sources.used[:, None, None], length, 1)  # an unused slot may coincide with a node
        sides.append([side * length.pow(-order) for order in range(3)])
    (tx, tx_1, tx_2), (rx, rx_1, rx_2) = sides
    weight = sources.reflectivity[:, None, None]
    terms = [((tx_1, rx), (tx, rx_1)), ((tx_2, rx), (tx, rx_2)), ((tx_1, rx_1),)]
    parts = [torch.stack([(one * weight) @ other.mT for one, other in term]).sum(0) for term in terms]
    return torch.stack(parts, dim=-1).movedim(1, 3) * problem.link[..., None]
