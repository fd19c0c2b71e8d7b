"""The greedy estimator: starts from several node phases, and the estimate of the best one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unfolded_ogamp.estimate import Estimate, History, Scatterers
from unfolded_ogamp.estimators import greedy, joint, synchronisation
from unfolded_ogamp.estimators.greedy import Atlas, GreedySettings
from unfolded_ogamp.estimators.joint import Columns, JointState
from unfolded_ogamp.estimators.problem import Problem, pose
from unfolded_ogamp.estimators.sources import padded
from unfolded_ogamp.estimators.synchronisation import NodePhases
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.records import choose

AGREEMENT = 0.01  # relative difference of the costs of two starts that have ended in the same place


@dataclass(frozen=True)
class GreedyEstimator:
    """Greedy estimation with restarts, in double precision whatever comes in.

    A scene is settled when its residual is what the noise allows, or when two starts agree.
    """

    settings: GreedySettings = field(default_factory=GreedySettings)

    @torch.no_grad()
    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes.

        Raises:
            ValueError: if shapes do not fit one another.
        """
        settings, dtype = self.settings, grid.centre.dtype
        double = torch.float64
        problem = pose(csi.to(dtype=double), array.to(dtype=double), grid.to(dtype=double), None)
        atlas = Atlas.of(problem, settings.spacing)
        best = greedy.run(problem, atlas, first_phases(problem), settings)
        agreed = torch.zeros_like(best.sources.used.any(1))
        generator = torch.Generator().manual_seed(settings.seed)
        for _ in range(1, settings.starts):
            unsettled = (~agreed & (excess(best, problem) > settings.margin)).nonzero()[:, 0]
            if len(unsettled) == 0:
                break
            part, near = problem[unsettled], atlas[unsettled]
            other = greedy.run(part, near, random_phases(part, generator), settings)
            best, same = better(best, other, unsettled, problem)
            agreed = agreed | same
        return conclude(best, problem, dtype)


def first_phases(problem: Problem) -> NodePhases:
    """Node phases of the first start: those that fit the trusted line of sight, zero where there is none."""
    zero = NodePhases.zero(problem.link, 1)
    return synchronisation.step(problem.csi, problem.los, problem.trusted, zero, greedy.ALIGNMENT, 1.0, 0.0)


def random_phases(problem: Problem, generator: torch.Generator) -> NodePhases:
    """Uniform node phases, the same in every scene, so that none depends on what else is in the batch."""
    zero = NodePhases.zero(problem.link, 1)
    tx, rx = (torch.rand(side.shape[1], 1, generator=generator, dtype=side.dtype) for side in (zero.tx, zero.rx))
    return replace(
        zero,
        tx=(2 * math.pi * tx).to(zero.tx.device).expand_as(zero.tx),
        rx=(2 * math.pi * rx).to(zero.rx.device).expand_as(zero.rx),
    )


def excess(state: JointState, problem: Problem) -> Tensor:
    """By how many standard deviations the residual exceeds the noise [B]; inf where the noise is not known."""
    if problem.noise_variance is None:
        return torch.full_like(state.cost, torch.inf)
    ratio = greedy.noise_power(state.cost, state.sources, problem) / problem.noise_variance
    return (ratio - 1) * greedy.samples(problem).sqrt()


def criterion(state: JointState, problem: Problem) -> Tensor:
    """Bayesian information criterion [B] of the sources; the lower the better."""
    count = greedy.samples(problem)
    unknowns = state.sources.used.sum(1) * (state.sources.position.shape[-1] + 2)
    return 2 * count * state.cost.log() + unknowns * (2 * count).log()


def better(best: JointState, other: JointState, scenes: Tensor, problem: Problem) -> tuple[JointState, Tensor]:
    """Scene by scene the better of two starts, of which the second was made for `scenes` [B'] alone.

    Returns:
        The better ones, and the scenes in which both found something and ended in the same place, bool [B].
    """
    tried = torch.zeros_like(best.sources.used.any(1))
    tried[scenes] = True
    other = greedy.place_sources(other, scenes, best)
    best = replace(best, sources=padded(best.sources, other.sources.used.shape[1]))
    as_many = other.sources.used.sum(1) == best.sources.used.sum(1)
    same = tried & as_many & best.sources.used.any(1) & ((other.cost / best.cost - 1).abs() < AGREEMENT)
    return choose(tried & (criterion(other, problem) < criterion(best, problem)), other, best), same


def conclude(state: JointState, problem: Problem, dtype: torch.dtype) -> Estimate:
    """The estimate that a state stands for, in the units of the CSI and in the real precision `dtype`."""
    sources = state.sources
    columns = Columns.at(sources, problem)
    noise = greedy.noise_power(state.cost, sources, problem)
    std = (joint.uncertainty(sources, problem)[0] * noise[:, None, None]).sqrt()
    above_noise = sources.reflectivity.abs().square() * columns.energy(problem.link) / noise[:, None]
    # that noise would show this much nowhere, but at least a half for what was accepted
    probability = 1 - 0.5 * (problem.grid.centre.shape[1] * torch.exp(-above_noise)).clamp(max=1.0)
    pixel_probability = torch.zeros_like(problem.grid.centre[..., 0])
    scatterers = []
    for scene, used in enumerate(sources.used):
        position = sources.position[scene, used]
        nearest = torch.cdist(position, problem.grid.centre[scene]).argmin(1)
        pixel_probability[scene].scatter_reduce_(0, nearest, probability[scene, used], "amax")
        order = above_noise[scene, used].argsort(descending=True)
        scatterers.append(
            Scatterers(
                position=position[order].to(dtype),
                position_std=std[scene, used][order].to(dtype),
                reflectivity=sources.reflectivity[scene, used][order].to(dtype.to_complex()),
                probability=probability[scene, used][order].to(dtype),
            )
        )
    channel = joint.residual(sources, problem, columns)[1]
    shape = (-1, -1, problem.csi.shape[-1])
    power = problem.unit.square()
    variance = noise if problem.noise_variance is None else problem.noise_variance
    residual = state.cost / greedy.samples(problem) * power
    return Estimate(
        scatterers=scatterers,
        tx_phase=synchronisation.wrap(sources.tx_phase)[..., None].expand(shape).to(dtype),
        rx_phase=synchronisation.wrap(sources.rx_phase)[..., None].expand(shape).to(dtype),
        pixel_probability=pixel_probability.to(dtype),
        noise_variance=(variance * power).to(dtype),
        prediction=(channel * sources.rotation.conj() * problem.unit[:, None, None, None]).to(dtype.to_complex()),
        residual=residual.to(dtype),
        tx_without_los=problem.without_los[0],
        rx_without_los=problem.without_los[1],
        finite=torch.isfinite(state.cost),
        history=History(residual[:, None].to(dtype), 0 * residual[:, None].to(dtype), sources.used.sum(1)[:, None]),
    )
