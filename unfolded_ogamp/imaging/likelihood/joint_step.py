"""The joint step: one Levenberg-Marquardt step of positions, reflectivities and node phases together.

Alternation between image and phases converges slowly, because a shift of the image and a tilt of all node phases change
the CSI almost alike. Joint steps do not have this problem. They end at the maximum-likelihood estimate, whose errors
are on the joint Cramer-Rao bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood import normal_equations
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.records import Record, choose

FIRST_DAMPING = 1e-3
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-7, 1e7


@dataclass(frozen=True)
class JointState(Record):
    """State between two joint steps.

    Attributes:
        model: present estimate.
        damping: Levenberg-Marquardt damping, relative to the diagonal of the normal matrix [B].
        decrease: relative decrease of the cost in the last step; inf before the first step and after a refused one [B].
    """

    model: Model
    damping: Tensor
    decrease: Tensor


@dataclass(frozen=True)
class JointParameters:
    """Tuning parameters of a joint step; the defaults give plain Levenberg-Marquardt.

    Attributes:
        damping: factor on the damping of the state.
        step: factor on the solution of the normal equations.
        prior: weight of the prior CN(0, mean |x|^2) of the reflectivities; 0 for none.
    """

    damping: Tensor | float = 1.0
    step: Tensor | float = 1.0
    prior: Tensor | float = 0.0


def init(model: Model) -> JointState:
    """The state of a model before the first step."""
    return JointState(model, torch.full_like(model.cost, FIRST_DAMPING), torch.full_like(model.cost, torch.inf))


def step(
    state: JointState,
    problem: Problem,
    free_phases: Tensor,
    largest_move: float,
    parameters: JointParameters = JointParameters(),
) -> JointState:
    """One Levenberg-Marquardt step of all unknowns; a step that does not lower the cost (with prior) is refused.

    Damping grows after a refused step, and falls after an accepted one.

    Args:
        state: state before the step.
        problem: geometry and CSI.
        free_phases: scenes whose node phases are fitted too, bool [B].
        largest_move: largest displacement of a scatterer, in wavelengths.
        parameters: tuning parameters.
    """
    model = state.model
    gradient, matrix = normal_equations.gradient(model, problem), normal_equations.normal_matrix(model, problem)
    ridge = parameters.prior * prior_precision(model, problem)
    matrix, gradient = with_prior(matrix, gradient, model.sources, ridge)
    moving = normal_equations.free_unknowns(model.sources, free_phases)
    change = least_squares.solve(matrix, gradient, state.damping * parameters.damping, moving) * parameters.step
    moved = move(model.sources, change, largest_move * problem.array.wavelength)
    return accept(state, evaluate(moved, problem), ridge)


def accept(state: JointState, moved: Model, ridge: Tensor | float = 0.0) -> JointState:
    """Accept the proposed model in scenes that it fits better; else keep the old one, with more damping.

    Args:
        state: state before the step.
        moved: proposed model.
        ridge: precision of the prior of the reflectivities, in units of the noise variance [B].
    """
    model = state.model
    before, after = (reflectivity_power(one.sources) for one in (model, moved))
    better = moved.cost + ridge * after < model.cost + ridge * before
    damping = torch.where(better, state.damping / 5, state.damping * 4).clamp(SMALLEST_DAMPING, LARGEST_DAMPING)
    decrease = torch.where(better, 1 - moved.cost / model.cost, torch.inf)
    return JointState(choose(better, moved, model), damping, decrease)


def reflectivity_power(sources: Sources) -> Tensor:
    """Sum of |x|^2 over the sources [B]."""
    return (sources.reflectivity.real.square() + sources.reflectivity.imag.square()).sum(1)


def prior_precision(model: Model, problem: Problem) -> Tensor:
    """Mean power of the residual over the mean |x|^2 of the sources [B]; 0 without sources."""
    total, count = reflectivity_power(model.sources), model.sources.used.sum(1)
    return torch.where(total > 0, model.cost / problem.n_samples * count / torch.where(total > 0, total, 1), 0)


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
    """Sources after a change [B, P] of the unknowns; displacements are limited to `limit` [B] [m]."""
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
