"""The joint step of all unknowns: positions, reflectivities, node phases, positions and gains, and moments.

It maximises the posterior density: a Levenberg-Marquardt step on cost + (v / 2) sum theta_q^2 / s_q^2. The noise
variance v is at least the mean power of the residual, so that the priors are strong while the fit is bad, and weak at
the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.jacobian import jacobian
from unfolded_ogamp.imaging.likelihood.joint_step import FIRST_DAMPING, LARGEST_DAMPING, SMALLEST_DAMPING
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration.priors import Prior, Scales, prior
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.records import Record, choose


@dataclass(frozen=True)
class Freedom(Record):
    """What is free in a scene besides positions and reflectivities, bool [B] each."""

    phases: Tensor
    nodes: Tensor


@dataclass(frozen=True)
class CalibrationState(Record):
    """State between two steps.

    Attributes:
        model: present estimate.
        scales: scales of the priors.
        damping: Levenberg-Marquardt damping, relative to the diagonal of the normal matrix [B].
        decrease: relative decrease of the penalised cost in the last step; inf before the first and after a refused
            step [B].
    """

    model: Model
    scales: Scales
    damping: Tensor
    decrease: Tensor


def init(model: Model, scales: Scales) -> CalibrationState:
    """The state of a model before the first step."""
    zero = torch.zeros_like(model.cost)
    return CalibrationState(model, scales, zero + FIRST_DAMPING, zero + torch.inf)


@dataclass(frozen=True)
class Equations:
    """Normal equations of the posterior density; `free` [B, P] are the unknowns that move."""

    matrix: Tensor
    gradient: Tensor
    prior: Prior
    free: Tensor


def noise_level(model: Model, problem: Problem) -> Tensor:
    """Noise variance of the step [B]: the known one, or the mean power of the residual if that is larger."""
    return torch.maximum(problem.noise_variance, model.cost / problem.n_samples)


def equations(state: CalibrationState, problem: Problem, freedom: Freedom) -> Equations:
    """Normal equations at a state."""
    model = state.model
    derivatives, found = jacobian(model, problem), prior(model.sources, state.scales)
    half = noise_level(model, problem)[:, None] / 2
    matrix = least_squares.plus_diagonal(derivatives.normal_matrix(), half * found.precision)
    gradient = derivatives.matched(model.residual) - half * found.precision * found.deviation
    return Equations(matrix, gradient, found, free_unknowns(model.sources, freedom))


def free_unknowns(sources: Sources, freedom: Freedom) -> Tensor:
    """Free unknowns, bool [B, P]."""
    used, dimension = sources.used, sources.position.shape[-1]
    n_nodes, n_moments = sources.tx_phase.shape[1] + sources.rx_phase.shape[1], sources.moment.shape[-1]
    node = torch.cat([freedom.phases[:, None], freedom.nodes[:, None].expand(-1, dimension + 1)], dim=1)
    of_moments = used.repeat_interleave(n_moments, dim=1).repeat(1, 2)
    coupling = used.any(1, keepdim=True).expand(-1, 2 if n_moments else 0)
    return torch.cat([used.repeat(1, dimension + 2), of_moments, coupling, node.repeat(1, n_nodes)], dim=1)


def step(state: CalibrationState, problem: Problem, freedom: Freedom, largest_move: float) -> CalibrationState:
    """One step; it is refused in scenes where it does not lower the penalised cost.

    Args:
        state: state before the step.
        problem: geometry and CSI, with weights of the links.
        freedom: which unknowns move.
        largest_move: largest displacement of a scatterer or node, in wavelengths.
    """
    posed = equations(state, problem, freedom)
    change = least_squares.solve(posed.matrix, posed.gradient, state.damping, posed.free)
    moved = evaluate(move(state.model.sources, change, largest_move * problem.array.wavelength), problem)
    half = noise_level(state.model, problem) / 2
    before = state.model.cost + half * posed.prior.cost
    after = moved.cost + half * prior(moved.sources, state.scales).cost
    better = after < before
    damping = torch.where(better, state.damping / 5, state.damping * 4).clamp(SMALLEST_DAMPING, LARGEST_DAMPING)
    decrease = torch.where(better, 1 - after / before, torch.inf)
    return replace(state, model=choose(better, moved, state.model), damping=damping, decrease=decrease)


def move(sources: Sources, change: Tensor, limit: Tensor) -> Sources:
    """Change all unknowns; scatterers and nodes move by at most `limit` [B] [m]."""
    batch, n_slots, dimension = sources.position.shape
    n_tx, n_rx, n_moments = sources.tx_phase.shape[1], sources.rx_phase.shape[1], sources.moment.shape[-1]
    of_moments = n_slots * n_moments
    counts = [n_slots * dimension, n_slots, n_slots, of_moments, of_moments, 2 if n_moments else 0]
    counts.append((n_tx + n_rx) * (dimension + 2))
    position, real, imaginary, *moments, coupling, nodes = change.split(counts, dim=1)
    tx, rx = nodes.unflatten(1, (n_tx + n_rx, dimension + 2)).split([n_tx, n_rx], dim=1)

    def limited(shift: Tensor) -> Tensor:
        length = shift.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(shift.dtype).tiny)
        return shift * (limit[:, None, None] / length).clamp(max=1.0)

    deviations = sources.nodes
    deviations = replace(
        deviations,
        tx_shift=deviations.tx_shift + limited(tx[..., 1:-1]),
        rx_shift=deviations.rx_shift + limited(rx[..., 1:-1]),
        tx_level=deviations.tx_level + tx[..., -1].clamp(-1, 1),
        rx_level=deviations.rx_level + rx[..., -1].clamp(-1, 1),
    )
    return replace(
        sources,
        position=sources.position + limited(position.reshape(batch, dimension, n_slots).mT),
        reflectivity=sources.reflectivity + torch.complex(real, imaginary),
        tx_phase=sources.tx_phase + tx[..., 0],
        rx_phase=sources.rx_phase + rx[..., 0],
        nodes=deviations,
        moment=sources.moment + torch.complex(*moments).reshape(batch, n_slots, n_moments),
        coupling=sources.coupling + (torch.complex(*coupling.unbind(1)) if n_moments else 0),
    )
