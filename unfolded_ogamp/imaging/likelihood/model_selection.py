"""Model selection: the Bayesian information criterion, and the test whether a residual is consistent with noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.imaging.model import Model, power
from unfolded_ogamp.imaging.problem import Problem

FEW_UNKNOWNS, MANY_UNKNOWNS, MOST_UNKNOWNS = 1 / 3, 0.5, 0.8  # real unknowns per complex sample
MORE_THAN_RANK, OVER_RANK = 3, 2.0  # sources beyond the rank of the links' matrix: in addition, or as a factor
ROUNDING = 1e-9
HIDDEN_SHARE = 0.1  # largest share of the scattered power that may hide in a consistent residual
MANY_SAMPLES = 400  # independent samples; with fewer, local minima are frequent
MARGIN = 4.0  # standard deviations by which a residual consistent with the noise may exceed it


def unknowns(model: Model, problem: Problem) -> Tensor:
    """Number of real unknowns [B]: positions, complex reflectivities, node phases without the gauge, others."""
    sources = model.sources
    # gauge: a common phase of all nodes; without a line of sight also that of all Tx against all reflectivities
    gauge = torch.where(problem.has_los, 1, 2)
    nodes = sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    phases = torch.where(problem.phases_known, 0, nodes - gauge)
    return sources.used.sum(1) * (sources.position.shape[-1] + 2) + phases + sources.effective


def noise_power(model: Model, problem: Problem) -> Tensor:
    """Noise variance [B] estimated from the residual, corrected for the number of unknowns."""
    return model.cost / (problem.n_samples - unknowns(model, problem) / 2).clamp(min=1.0)


def excess(model: Model, problem: Problem) -> Tensor:
    """Excess of the residual over the noise [B], in standard deviations; inf if the noise variance is unknown."""
    ratio = noise_power(model, problem) / problem.noise_variance
    # the ratio of two estimates is skewed, its logarithm is not
    return torch.where(problem.noise_std > 0, ratio.log(), ratio - 1) / deviation(problem)


def deviation(problem: Problem) -> Tensor:
    """Relative standard deviation of the power of a residual over the noise variance, given or estimated [B]."""
    relative = problem.noise_std / problem.noise_variance.clamp(min=torch.finfo(problem.noise_std.dtype).tiny)
    return (problem.n_samples.reciprocal() + relative.square()).sqrt()


def consistent(model: Model, problem: Problem) -> Tensor:
    """Scenes whose residual exceeds the noise by at most `MARGIN` standard deviations; bool [B].

    False in scenes of unknown noise variance, and in those with too many scatterers, which fit any CSI.
    """
    return (excess(model, problem) <= MARGIN) & determined(model, problem)


def determined(model: Model, problem: Problem) -> Tensor:
    """Scenes with enough samples for their unknowns, bool [B]; coherent subcarriers count once, see `evidence`.

    Up to a third as many unknowns as samples are allowed. Up to `MOST_UNKNOWNS` per sample are, if the scatterers are
    not many more than the rank of the links' matrix, as in scenes of few nodes; invented scatterers are many more.
    """
    return model.sources.used.sum(1) <= most_sources(model, problem)


def most_sources(model: Model, problem: Problem) -> Tensor:
    """Largest number of sources that the samples determine [B], int64, see `determined`."""
    count, least = model.sources.used.sum(1), problem.least_count
    per_source = problem.grid.centre.shape[2] + 2
    others = unknowns(model, problem) - count * per_source
    # lines of sight tell most of the node phases
    share = torch.where(problem.has_los, MANY_UNKNOWNS, FEW_UNKNOWNS)
    few, many = (
        ((most * problem.n_samples - others) / per_source + ROUNDING).floor().long() for most in (share, MOST_UNKNOWNS)
    )
    near_rank = torch.maximum(least + MORE_THAN_RANK, (least * OVER_RANK).long())
    near_rank = torch.where(problem.noise_variance > 0, near_rank, many)  # the rank of noisy links is not known
    return torch.maximum(few, torch.minimum(many, near_rank)).clamp(min=0)


def decisive(model: Model, problem: Problem) -> Tensor:
    """Scenes in which a consistent residual proves the fit without another start, bool [B].

    The echoes exceed the margin of the residual so far that none can hide in it, and the unknowns are few.
    """
    scattered = strength(model, problem).sum(1)
    margin = MARGIN * deviation(problem)
    room = torch.where(problem.noise_std > 0, margin.expm1(), margin) * problem.n_samples * problem.noise_variance
    no_room = room <= HIDDEN_SHARE * scattered
    return no_room & (unknowns(model, problem) <= MANY_UNKNOWNS * problem.n_samples)


def explained(model: Model, problem: Problem) -> Tensor:
    """Share of the scattered power that the model explains [B], 0 to 1."""
    scattered = power(model.residual + (model.channel - problem.los) * problem.link)
    return torch.where(scattered > 0, 1 - model.cost / scattered, 0).clamp(0, 1)


def criterion(model: Model, problem: Problem) -> Tensor:
    """Extended Bayesian information criterion [B], Chen and Chen, 2008, with gamma = 1; lower is better.

    The noise variance is that of the residual, but at least the known one: many unknowns can fit part of the noise.
    """
    samples, dimension = problem.n_samples, problem.grid.centre.shape[2]
    variance = torch.maximum(model.cost / samples, problem.noise_variance)
    count = model.sources.used.sum(1)
    others = unknowns(model, problem) - count * (dimension + 2)
    prices = count * price_of_source(problem) + others * (2 * samples).log()
    return 2 * samples * variance.log() + 2 * model.cost / variance + prices


def price_of_source(problem: Problem) -> Tensor:
    """What a source adds to the criterion [B]: its unknowns, and the choice of the pixel that it lies in."""
    n_pixels, dimension = problem.grid.centre.shape[1:]
    return (dimension + 2) * (2 * problem.n_samples).log() + 2 * math.log(n_pixels)


def better(new: Model, old: Model, problem: Problem) -> Tensor:
    """Scenes in which the new model has the lower criterion, or that of the old one is nan; bool [B]."""
    before = criterion(old, problem)
    return (criterion(new, problem) < before) | before.isnan()


def strength(model: Model, problem: Problem) -> Tensor:
    """Matched-filter power of every source, summed over links and subcarriers [B, S]."""
    return model.sources.reflectivity.abs().square() * model.columns.energy(problem.link)
