"""Sources that are not needed beside the others: which are in doubt, and what becomes of the rest without them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood import joint_step, model_selection, uncertainty
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, columns_of, drop
from unfolded_ogamp.physics import distances
from unfolded_ogamp.records import Record, place


@dataclass(frozen=True)
class Evidence(Record):
    """What speaks for every source [B, S], all in the unit of the noise variance; zero in unused slots.

    Attributes:
        alone: power of its echoes, as if there were nothing else.
        beside_others: |x|^2 over the variance of |x| with everything else unknown: Wald's statistic.
        spread: largest standard deviation of its position, in wavelengths.
    """

    alone: Tensor
    beside_others: Tensor
    spread: Tensor


@torch.no_grad()
def exact_uncertainty(sources: Sources, problem: Problem) -> Uncertainty:
    """The uncertainty in double precision, whatever comes in: pairs that split one scatterer are hard to tell."""
    return uncertainty.uncertainty(sources.to(dtype=torch.float64), problem.to(dtype=torch.float64))


@torch.no_grad()
def evidence(state: JointState, problem: Problem, known: Uncertainty) -> Evidence:
    """The evidence for every source, in the precision of the state; `known` is their `exact_uncertainty`."""
    sources = state.sources
    noise = model_selection.noise_power(state.cost, sources, problem)[:, None]
    if problem.noise_variance is not None:  # with many unknowns the residual can be less than the noise
        noise = noise.maximum(problem.noise_variance[:, None])
    power = sources.reflectivity.real.square() + sources.reflectivity.imag.square()
    tiny = torch.finfo(power.dtype).tiny
    variance = known.amplitude.to(power.dtype) * noise
    largest = known.position.diagonal(dim1=2, dim2=3).sum(2).to(power.dtype) * noise
    wavelength = problem.array.wavelength[:, None]
    return Evidence(
        alone=torch.where(sources.used, power * columns_of(sources, problem).energy(problem.link) / noise, 0),
        beside_others=torch.where(sources.used, power / variance.clamp(min=tiny), 0),
        spread=torch.where(sources.used, largest.sqrt() / wavelength, 0),
    )


def log_odds(found: Evidence, sources: Sources, problem: Problem) -> Tensor:
    """Log-odds [B, S] of a source by the extended Bayesian information criterion: half of what exceeds its price.

    The price is the logarithm of the number of measurements for each of its D + 2 unknowns, and that of the number of
    pixels it could have been in (Chen and Chen, 2008, with gamma = 1/2).
    """
    price = (sources.position.shape[2] + 2) * (2 * problem.n_samples).log()
    price = price + math.log(problem.grid.centre.shape[1])
    return (found.beside_others - price[:, None]) / 2


def prune(
    state: JointState, problem: Problem, doubt: Tensor, settings: GreedySettings, steps: int
) -> tuple[JointState, Tensor]:
    """Leave out the most doubtful sources of every scene, and move the others to where they fit then.

    Of doubtful ones that are close to one another only the worst goes: without it the others may well be needed.

    Args:
        state: where it starts.
        problem: geometry and CSI.
        doubt: log-odds of every source [B, S]; negative ones are in doubt.
        settings: what is close, and how far a joint step may move.
        steps: joint steps after a source is gone.

    Returns:
        The state without them, in which each such scene may be worse; and which scenes had one, bool [B].
    """
    in_doubt = state.sources.used & (doubt < 0)
    distance = distances(state.sources.position, state.sources.position)
    near = in_doubt[:, None] & (distance < settings.separation * problem.array.wavelength[:, None, None])
    worst = in_doubt & ~(near & (doubt[:, None] < doubt[:, :, None])).any(2)
    scenes = worst.any(1).nonzero()[:, 0]
    if len(scenes) == 0:
        return state, worst.any(1)
    part = problem[scenes]
    without = joint_step.init(drop(state.sources[scenes], worst[scenes]), part)
    free = model_selection.phases_free(without.sources, part, settings)
    for _ in range(steps):
        without = joint_step.step(without, part, free, settings.largest_move)
    return place(without, scenes, state), worst.any(1)
