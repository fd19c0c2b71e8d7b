"""Pruning: the evidence for every source, and one rule that removes weak sources."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.joint_step import JointState, init
from unfolded_ogamp.imaging.likelihood.model_selection import better, noise_power
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty, uncertainty
from unfolded_ogamp.imaging.model import Model, evaluate, remove_sources
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import distances
from unfolded_ogamp.records import Record, choose, place

Score = Callable[[Model, Problem, Tensor], Tensor]  # arguments: models, their problems, their indices in the batch
Refit = Callable[[JointState, Problem], JointState]
Select = Callable[[Model, Problem, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Evidence(Record):
    """Evidence for every source [B, S]; zero in unused slots.

    Attributes:
        alone: power of its echoes over the noise variance, without regard to other sources.
        beside_others: |x|^2 over the variance of |x| with all other unknowns free: Wald's statistic.
        spread: root of the summed position variances (all coordinates), in wavelengths.
    """

    alone: Tensor
    beside_others: Tensor
    spread: Tensor


@torch.no_grad()
def exact_uncertainty(model: Model, problem: Problem) -> Uncertainty:
    """The uncertainty in double precision: two sources in place of one scatterer make the matrix ill-conditioned."""
    double = torch.float64
    problem = problem.to(dtype=double)
    return uncertainty(evaluate(model.sources.to(dtype=double), problem), problem)


@torch.no_grad()
def evidence(model: Model, problem: Problem, known: Uncertainty) -> Evidence:
    """The evidence for every source, in the precision of the model; `known` is its `exact_uncertainty`."""
    sources = model.sources
    # many unknowns can fit part of the noise
    noise = noise_power(model, problem).maximum(problem.noise_variance)[:, None]
    power = sources.reflectivity.real.square() + sources.reflectivity.imag.square()
    tiny = torch.finfo(power.dtype).tiny
    variance = known.amplitude.to(power.dtype) * noise
    largest = known.position.diagonal(dim1=2, dim2=3).sum(2).to(power.dtype) * noise
    wavelength = problem.array.wavelength[:, None]
    return Evidence(
        alone=torch.where(sources.used, power * model.columns.energy(problem.link) / noise, 0),
        beside_others=torch.where(sources.used, power / variance.clamp(min=tiny), 0),
        spread=torch.where(sources.used, largest.sqrt() / wavelength, 0),
    )


def log_odds(found: Evidence, model: Model, problem: Problem) -> Tensor:
    """Log-odds [B, S] of a source by the extended Bayesian information criterion: (Wald statistic - penalty) / 2.

    The penalty is (D + 2) log(2n) + log(N), with n complex samples and N pixels (Chen and Chen, 2008, gamma = 1/2).
    """
    price = (model.sources.position.shape[2] + 2) * (2 * problem.n_samples).log()
    price = price + math.log(problem.grid.centre.shape[1])
    return (found.beside_others - price[:, None]) / 2


def prune(
    state: JointState,
    problem: Problem,
    score: Score,
    select: Select,
    refit: Refit,
    keep_needed: bool,
    rounds: int | None = None,
) -> JointState:
    """Remove weak sources, refit the others, and repeat until no source is weak.

    Args:
        state: state after a fit.
        problem: geometry and CSI.
        score: score of every source [B, S]; weak sources have a negative score.
        select: which of the weak sources [B, S] are removed in one round.
        refit: fits the remaining sources.
        keep_needed: restore a source, and never try it again, if its removal raises the Bayesian information criterion.
            Two true scatterers closer than the point response have the same score as a split one.
        rounds: largest number of rounds; None for no limit.
    """
    needed = torch.zeros_like(state.model.sources.used)
    scenes = torch.arange(len(needed), device=needed.device)
    count = 0
    while len(scenes) > 0 and (rounds is None or count < rounds):
        count += 1
        part, around, kept = state[scenes], problem[scenes], needed[scenes]
        value = score(part.model, around, scenes)
        weak = part.model.sources.used & ~kept & (value < 0)
        some = weak.any(1)
        if not some.any():
            break
        if not some.all():
            scenes, part, around, value, weak = scenes[some], part[some], around[some], value[some], weak[some]
        going = select(part.model, around, value, weak)
        fewer = refit(init(remove_sources(part.model, going, around)), around)
        if keep_needed:
            taken = better(fewer.model, part.model, around)
            needed = needed.index_copy(0, scenes, needed[scenes] | (going & ~taken[:, None]))
            fewer = choose(taken, fewer, part)
        state = place(fewer, scenes, state)
    return state


def all_weak(_model: Model, _problem: Problem, _score: Tensor, weak: Tensor) -> Tensor:
    """Select all weak sources."""
    return weak


def weakest(_model: Model, _problem: Problem, score: Tensor, weak: Tensor) -> Tensor:
    """Select the weakest source of every scene."""
    score = torch.where(weak, score, torch.inf)
    return weak & (score <= score.amin(1, keepdim=True))


def weakest_nearby(separation: float) -> Select:
    """Select, among weak sources within `separation` wavelengths of one another, the weakest.

    After its removal the others may be needed.
    """

    def select(model: Model, problem: Problem, score: Tensor, weak: Tensor) -> Tensor:
        distance = distances(model.sources.position, model.sources.position)
        near = weak[:, None] & (distance < separation * problem.array.wavelength[:, None, None])
        return weak & ~(near & (score[:, None] < score[:, :, None])).any(2)

    return select
