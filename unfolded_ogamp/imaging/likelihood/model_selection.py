"""Model selection: the Bayesian information criterion, and the test whether a residual is consistent with noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem

MARGIN = 4.0  # standard deviations by which a residual consistent with the noise may exceed it


def unknowns(model: Model, problem: Problem) -> Tensor:
    """Number of real unknowns [B]: positions, complex reflectivities, corrections, node phases without the gauge."""
    sources = model.sources
    # gauge: a common phase of all nodes; without a line of sight also that of all Tx against all reflectivities
    gauge = torch.where(problem.has_los, 1, 2)
    nodes = sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    return sources.used.sum(1) * (sources.position.shape[-1] + 2) + model.correction.count + nodes - gauge


def noise_power(model: Model, problem: Problem) -> Tensor:
    """Noise variance [B] estimated from the residual, corrected for the number of unknowns."""
    return model.cost / (problem.n_samples - unknowns(model, problem) / 2).clamp(min=1.0)


def excess(model: Model, problem: Problem) -> Tensor:
    """Excess of the residual over the noise [B], in standard deviations; inf if the noise variance is unknown."""
    relative = problem.noise_std / problem.noise_variance.clamp(min=torch.finfo(model.cost.dtype).tiny)
    deviation = (problem.n_samples.reciprocal() + relative.square()).sqrt()
    return (noise_power(model, problem) / problem.noise_variance - 1) / deviation


def consistent(model: Model, problem: Problem) -> Tensor:
    """Scenes whose residual exceeds the noise by at most `MARGIN` standard deviations; bool [B].

    False in scenes of unknown noise variance, and in those with more unknowns than samples: enough scatterers fit any
    CSI. Samples are independent only if coherent subcarriers are averaged, see `subcarriers`.
    """
    return (excess(model, problem) <= MARGIN) & (unknowns(model, problem) <= problem.n_samples)


def criterion(model: Model, problem: Problem) -> Tensor:
    """Extended Bayesian information criterion [B], Chen and Chen, 2008, with gamma = 1/2; lower is better.

    Beside its unknowns, a source costs the logarithm of the number of pixels that it may lie in.
    """
    count = 2 * problem.n_samples
    places = model.sources.used.sum(1) * 2 * math.log(problem.grid.centre.shape[1])
    return count * model.cost.log() + unknowns(model, problem) * count.log() + places


def better(new: Model, old: Model, problem: Problem) -> Tensor:
    """Scenes in which the new model has the lower criterion, or that of the old one is nan; bool [B]."""
    before = criterion(old, problem)
    return (criterion(new, problem) < before) | before.isnan()


def strength(model: Model, problem: Problem) -> Tensor:
    """Matched-filter power of every source, summed over links and subcarriers [B, S]."""
    return model.sources.reflectivity.abs().square() * model.columns.energy(problem.link)
