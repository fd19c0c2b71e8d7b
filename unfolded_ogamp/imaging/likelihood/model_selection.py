"""Decisions between models: is the residual consistent with the noise, and which of two models is the better one."""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem


def unknowns(model: Model, problem: Problem) -> Tensor:
    """Real unknowns [B]: positions, complex reflectivities, corrections, node phases but for the gauge."""
    sources = model.sources
    # all nodes turn together; without a line of sight so do all Tx against all reflectivities
    gauge = torch.where(problem.has_los, 1, 2)
    nodes = sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    return sources.used.sum(1) * (sources.position.shape[-1] + 2) + model.correction.count + nodes - gauge


def noise_power(model: Model, problem: Problem) -> Tensor:
    """Noise variance [B] that the residual shows, the degrees of freedom of the model taken off."""
    return model.cost / (problem.n_samples - unknowns(model, problem) / 2).clamp(min=1.0)


def excess(model: Model, problem: Problem) -> Tensor:
    """By how many standard deviations the residual exceeds the noise [B]; inf where the noise is not known."""
    if problem.noise_variance is None:
        return torch.full_like(model.cost, torch.inf)
    ratio = noise_power(model, problem) / problem.noise_variance
    return (ratio - 1) * problem.n_samples.sqrt()


def consistent(model: Model, problem: Problem, margin: float) -> Tensor:
    """Scenes whose residual is consistent with the noise, within `margin` standard deviations; bool [B].

    None is where the noise is not known.
    """
    return excess(model, problem) <= margin


def criterion(model: Model, problem: Problem) -> Tensor:
    """Bayesian information criterion (BIC) [B] of all unknowns; the lower the better."""
    count = 2 * problem.n_samples
    return count * model.cost.log() + unknowns(model, problem) * count.log()


def better(new: Model, old: Model, problem: Problem) -> Tensor:
    """Scenes in which the new model has the lower criterion, or the old one has none; bool [B]."""
    before = criterion(old, problem)
    return (criterion(new, problem) < before) | before.isnan()


def strength(model: Model, problem: Problem) -> Tensor:
    """Matched-filter power of every source over its links and subcarriers [B, S]."""
    return model.sources.reflectivity.abs().square() * model.columns.energy(problem.link)
