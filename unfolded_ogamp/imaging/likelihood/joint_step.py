"""The joint step: positions, reflectivities and node phases move at once, by Levenberg-Marquardt on the likelihood.

Alternating between image and phases crawls, because shifting the whole image is almost the same as tilting all node
phases. The normal equations of both together have no such valley to crawl along, and their solution is the
maximum-likelihood estimate, on the joint Cramer-Rao bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood import normal_equations
from unfolded_ogamp.imaging.likelihood.normal_equations import power, residual
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, columns_of
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.records import Record, choose

SMALLEST_DAMPING, LARGEST_DAMPING = 1e-7, 1e7


@dataclass(frozen=True)
class JointState(Record):
    """State between two joint steps.

    Attributes:
        sources: what is estimated.
        cost: sum of |y - model|^2 over links and subcarriers, in problem units [B].
        damping: Levenberg-Marquardt damping, relative to the diagonal of the normal matrix [B].
        decrease: share of the cost that the last step took away; inf where there was none or it was refused [B].
    """

    sources: Sources
    cost: Tensor
    damping: Tensor
    decrease: Tensor


@dataclass(frozen=True)
class JointParameters:
    """What one joint step is tuned by; at the defaults it is plain Levenberg-Marquardt.

    Attributes:
        damping: factor on the damping of the state.
        step: share of the solution by which the unknowns move.
        prior: weight of the prior CN(0, mean |x|^2) of the reflectivities beside the likelihood.
    """

    damping: Tensor | float = 1.0
    step: Tensor | float = 1.0
    prior: Tensor | float = 0.0


def init(sources: Sources, problem: Problem) -> JointState:
    """Sources as they are, little damping."""
    cost = power(residual(sources, problem, columns_of(sources, problem))[0])
    return JointState(sources, cost, torch.full_like(cost, 1e-3), torch.full_like(cost, torch.inf))


def step(
    state: JointState,
    problem: Problem,
    move_phases: Tensor,
    largest_move: float,
    parameters: JointParameters = JointParameters(),
) -> JointState:
    """One Levenberg-Marquardt step of all unknowns; where it raises the cost, prior included, it is refused.

    Damping grows then, and falls after a step that was taken.

    Args:
        state: where it starts.
        problem: geometry and CSI.
        move_phases: scenes whose node phases move too, bool [B].
        largest_move: largest change of a position, in wavelengths.
        parameters: what the step is tuned by.
    """
    sources = state.sources
    columns = columns_of(sources, problem)
    difference, channel = residual(sources, problem, columns)
    gradient = normal_equations.gradient(sources, columns, difference, channel)
    matrix = normal_equations.normal_matrix(sources, problem, columns, channel)
    ridge = parameters.prior * prior_precision(state, problem)
    matrix, gradient = with_prior(matrix, gradient, sources, ridge)
    moving = normal_equations.unknowns_in_play(sources, move_phases)
    change = least_squares.solve(matrix, gradient, state.damping * parameters.damping, moving) * parameters.step
    moved = move(sources, change, largest_move * problem.array.wavelength)
    cost = power(residual(moved, problem, columns_of(moved, problem))[0])
    return accept(state, moved, cost, ridge)


def accept(state: JointState, moved: Sources, cost: Tensor, ridge: Tensor | float = 0.0) -> JointState:
    """The moved sources with their cost [B] where they fit better, else the state with more damping.

    Args:
        state: where they come from.
        moved: sources that are proposed.
        cost: of those [B].
        ridge: precision of the prior of the reflectivities, in units of the noise variance [B].
    """
    before, after = (reflectivity_power(sources) for sources in (state.sources, moved))
    better = cost + ridge * after < state.cost + ridge * before
    damping = torch.where(better, state.damping / 5, state.damping * 4).clamp(SMALLEST_DAMPING, LARGEST_DAMPING)
    decrease = torch.where(better, 1 - cost / state.cost, torch.inf)
    return JointState(choose(better, moved, state.sources), torch.where(better, cost, state.cost), damping, decrease)


def reflectivity_power(sources: Sources) -> Tensor:
    """Sum of |x|^2 over the sources [B]."""
    return (sources.reflectivity.real.square() + sources.reflectivity.imag.square()).sum(1)


def prior_precision(state: JointState, problem: Problem) -> Tensor:
    """Noise variance that the cost shows over the mean |x|^2 of the sources [B]; 0 where there are none."""
    total, count = reflectivity_power(state.sources), state.sources.used.sum(1)
    return torch.where(total > 0, state.cost / problem.n_samples * count / torch.where(total > 0, total, 1), 0)


def with_prior(matrix: Tensor, gradient: Tensor, sources: Sources, ridge: Tensor) -> tuple[Tensor, Tensor]:
    """Normal matrix and gradient with a prior of precision `ridge` [B] on the reflectivities."""
    n_slots, dimension = sources.position.shape[1:]
    first, last = n_slots * dimension, n_slots * (dimension + 2)
    pull = torch.cat([sources.reflectivity.real, sources.reflectivity.imag], dim=1) * ridge[:, None]
    on_reflectivity = torch.zeros_like(gradient[0])
    on_reflectivity[first:last] = 1.0
    gradient = gradient - torch.nn.functional.pad(pull, (first, gradient.shape[1] - last))
    return least_squares.plus_diagonal(matrix, ridge[:, None] * on_reflectivity), gradient


def move(sources: Sources, change: Tensor, limit: Tensor) -> Sources:
    """Sources after a change [B, P] of the unknowns, positions by at most `limit` [B] [m]."""
    n_slots, dimension = sources.position.shape[1:]
    sizes = [n_slots * dimension, n_slots, n_slots, sources.tx_phase.shape[1], sources.rx_phase.shape[1]]
    position, real, imaginary, tx_phase, rx_phase = change.split(sizes, dim=1)
    shift = position.reshape(len(position), dimension, n_slots).mT
    length = shift.norm(dim=-1, keepdim=True)
    shift = shift * (limit[:, None, None] / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(max=1.0)
    return replace(
        sources,
        position=sources.position + shift,
        reflectivity=sources.reflectivity + torch.complex(real, imaginary),
        tx_phase=sources.tx_phase + tx_phase,
        rx_phase=sources.rx_phase + rx_phase,
    )
