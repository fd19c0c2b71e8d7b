"""How much is noise, and how many unknowns explain the rest: what decides between models of a different size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, columns_of


def unknowns(sources: Sources, problem: Problem) -> Tensor:
    """Real unknowns [B]: positions, complex reflectivities, node phases but for the gauge."""
    # all nodes turn together; without a line of sight so do all Tx against all reflectivities
    gauge = torch.where(problem.has_los, 1, 2)
    nodes = sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    return sources.used.sum(1) * (sources.position.shape[-1] + 2) + problem.n_corrections + nodes - gauge


def noise_power(cost: Tensor, sources: Sources, problem: Problem) -> Tensor:
    """Noise variance [B] that a cost [B] shows, the degrees of freedom of the sources taken off."""
    return cost / (problem.n_samples - unknowns(sources, problem) / 2).clamp(min=1.0)


def excess(state: JointState, problem: Problem) -> Tensor:
    """By how many standard deviations the residual exceeds the noise [B]; inf where the noise is not known."""
    if problem.noise_variance is None:
        return torch.full_like(state.cost, torch.inf)
    ratio = noise_power(state.cost, state.sources, problem) / problem.noise_variance
    return (ratio - 1) * problem.n_samples.sqrt()


def criterion(state: JointState, problem: Problem) -> Tensor:
    """Bayesian information criterion [B] of all unknowns; the lower the better."""
    count = 2 * problem.n_samples
    return count * state.cost.log() + unknowns(state.sources, problem) * count.log()


def detection_threshold(n_positions: int, settings: GreedySettings) -> float:
    """Matched-filter power over noise that noise alone exceeds at one of `n_positions` with `false_alarm`."""
    return math.log(n_positions / settings.false_alarm)


def strength(sources: Sources, problem: Problem) -> Tensor:
    """Matched-filter power of the sources [B, S]."""
    return sources.reflectivity.abs().square() * columns_of(sources, problem).energy(problem.link)


def phases_free(sources: Sources, problem: Problem, settings: GreedySettings) -> Tensor:
    """Scenes in which the node phases are fitted: enough scatterers, or a line of sight; bool [B]."""
    return (sources.used.sum(1) >= settings.phase_count) | problem.has_los
