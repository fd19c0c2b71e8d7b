"""What the channel holds beside the echoes of points and the line of sight as told, as far as physics says its form.

Targets with size add multipoles: if they are round, their echo is a series in the cosine of the bistatic angle beta,
reflectivity x + sum_m c_m cos(m beta). They echo to one another: after the first order (Foldy, 1945) the channel gains
c sum_{s != t} x_s x_t exp(-j kappa d_st) / d_st over Tx, s, t and Rx. Both are linear in coefficients that nobody
knows, and so are the series of antennas whose near field the line of sight shows: they are projected out (Kaufman,
"A variable projection method for solving separable nonlinear least squares problems", 1975).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood import joint_step, normal_equations
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.mismatch import line_of_sight
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, columns_of
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.physics import distances, node_wave, unit_vectors
from unfolded_ogamp.records import choose

ORDERS = 2  # of the series: dipoles and quadrupoles, targets of up to about half a wavelength
RIDGE = 1e-9  # of the normal equations, relative to their diagonal: it holds columns that depend on one another


def fitted(sources: Sources, problem: Problem, sized: Tensor) -> tuple[Sources, Problem]:
    """Reflectivities by least squares, and the problem with what corrects it.

    In scenes in which neither targets have size, bool [B], nor the line of sight a series, nothing changes but that
    the problem is one of points.
    """
    none = torch.zeros_like(problem.n_corrections)
    plain = replace(problem, correction=torch.zeros_like(problem.csi), n_corrections=none)
    scenes = corrected(sources, problem, sized).nonzero()[:, 0]
    if len(scenes) == 0:
        return sources, plain
    reflectivity, channel, count = _least_squares(sources[scenes], plain[scenes], sized[scenes])
    values = sources.reflectivity.index_copy(0, scenes, reflectivity)
    corrections = plain.correction.index_copy(0, scenes, channel)
    n_corrections = none.index_copy(0, scenes, count)
    return replace(sources, reflectivity=values), replace(plain, correction=corrections, n_corrections=n_corrections)


def corrected(sources: Sources, problem: Problem, sized: Tensor) -> Tensor:
    """Scenes in which anything corrects the channel: bool [B]."""
    return (sized & sources.used.any(1)) | problem.near


def step(
    state: JointState, problem: Problem, sized: Tensor, move_phases: Tensor, largest_move: float
) -> tuple[JointState, Problem]:
    """`joint_step.step` with the corrections free, too: the Jacobian is projected on what they cannot explain.

    Args:
        state: where it starts, fitted.
        problem: geometry and CSI, with its corrections fitted.
        sized: scenes in which targets have size, bool [B].
        move_phases, largest_move: as in `joint_step.step`.
    """
    sources = state.sources
    plain = columns_of(sources, problem)
    difference, channel = normal_equations.residual(sources, problem, plain)
    jacobian = normal_equations.jacobian(sources, problem, plain, channel)
    beside = _beside(sources, problem, sized)
    jacobian = jacobian - beside @ least_squares.solve_many(beside.mH @ beside, beside.mH @ jacobian, RIDGE)
    gradient = (jacobian.mH @ difference.flatten(1)[..., None])[..., 0].real
    moving = normal_equations.unknowns_in_play(sources, move_phases)
    change = least_squares.solve((jacobian.mH @ jacobian).real, gradient, state.damping, moving)
    moved, again = fitted(joint_step.move(sources, change, largest_move * problem.array.wavelength), problem, sized)
    accepted = joint_step.accept(state, moved, joint_step.init(moved, again).cost)
    return accepted, choose(accepted.cost < state.cost, again, problem)


def _least_squares(sources: Sources, problem: Problem, sized: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Reflectivities [B, S], the channel of all else [B, n_tx, n_rx, K], and its number of real coefficients [B]."""
    points = columns(sources, problem)[..., 0].flatten(1, 3)
    basis = torch.cat([points, _beside(sources, problem, sized)], dim=-1)
    observation = ((problem.csi * sources.rotation - problem.los) * problem.link).flatten(1)[..., None]
    solution = least_squares.solve_many(basis.mH @ basis, basis.mH @ observation, RIDGE)
    n_slots = sources.used.shape[1]
    channel = (basis[..., n_slots:] @ solution[:, n_slots:])[..., 0].unflatten(1, problem.csi.shape[1:])
    return solution[:, :n_slots, 0], channel, 2 * (basis[..., n_slots:] != 0).any(1).sum(1).to(channel.real)


def _beside(sources: Sources, problem: Problem, sized: Tensor) -> Tensor:
    """All that corrects the channel, one column per coefficient, zero where it does not: [B, n_tx * n_rx * K, C]."""
    targets = [columns(sources, problem)[..., 1:].flatten(-2), second_echoes(sources, problem)[..., None]]
    antennas = [near_field(sources, problem), line_of_sight.series(problem) * problem.link[..., None]]
    parts = [
        torch.cat(part, dim=-1) * asked[:, None, None, None, None]
        for part, asked in ((targets, sized), (antennas, problem.near))
    ]
    return torch.cat(parts, dim=-1).flatten(1, 3)


def columns(sources: Sources, problem: Problem) -> Tensor:
    """PointColumns of the sources times cos(m beta), m = 0 ... `ORDERS`: complex [B, n_tx, n_rx, K, S, 1 + ORDERS].

    beta is the angle between the directions from a source to Tx and to Rx; unused sources have zeros.
    """
    tx, rx = _sides(sources, problem)
    point = (tx.movedim(1, 2)[:, :, None] * rx.movedim(1, 2)[:, None]) * problem.link[..., None]
    towards = (unit_vectors(nodes, sources.position) for nodes in (problem.array.tx, problem.array.rx))
    angle = torch.einsum("bdis,bdjs->bijs", *towards).clamp(-1, 1).acos()
    order = torch.arange(ORDERS + 1, dtype=angle.dtype, device=angle.device)
    series = torch.where(sources.used[:, None, None, :, None], (angle[..., None] * order).cos(), 0)
    return point[..., None] * series[:, :, :, None]


def second_echoes(sources: Sources, problem: Problem) -> Tensor:
    """What goes over two of the sources, in units of its own: complex [B, n_tx, n_rx, K]."""
    tx, rx = (side * sources.reflectivity[:, None, None] for side in _sides(sources, problem))
    distance = distances(sources.position, sources.position)
    apart = sources.used[:, :, None] & sources.used[:, None] & (distance > 0)
    between = node_wave(problem.array, torch.where(apart, distance, 1.0), None) * apart[:, None]
    return ((tx @ between) @ rx.mT).movedim(1, -1) * problem.link


def near_field(sources: Sources, problem: Problem) -> Tensor:
    """What antennas near the sources add, in units of its own: complex [B, n_tx, n_rx, K, 3].

    Before and after a source the field is a series in u = 1 / (kappa d), as `line_of_sight` has it. Of the product of
    two, the terms of the orders u, u^2 and of both ways are alike for all sources.
    """
    sides = []
    for side, nodes in zip(_sides(sources, problem), (problem.array.tx, problem.array.rx), strict=True):
        length = distances(nodes, sources.position)[:, None] * problem.array.wavenumber[:, :, None, None]
        length = torch.where(sources.used[:, None, None], length, 1)  # an unused slot may lie on a node
        sides.append([side * length.pow(-order) for order in range(3)])
    (tx, tx_1, tx_2), (rx, rx_1, rx_2) = sides
    weight = sources.reflectivity[:, None, None]
    terms = [((tx_1, rx), (tx, rx_1)), ((tx_2, rx), (tx, rx_2)), ((tx_1, rx_1),)]
    parts = [torch.stack([(one * weight) @ other.mT for one, other in term]).sum(0) for term in terms]
    return torch.stack(parts, dim=-1).movedim(1, 3) * problem.link[..., None]


def _sides(sources: Sources, problem: Problem) -> tuple[Tensor, Tensor]:
    """The factors of Tx [B, K, n_tx, S] and of Rx of the columns."""
    return columns_of(sources, problem).plain()
