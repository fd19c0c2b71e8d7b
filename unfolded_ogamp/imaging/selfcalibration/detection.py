"""Detection by a self-normalised matched filter, for residuals whose variance differs from link to link.

For independent residuals of any variances, |sum w a^* r|^2 / sum w^2 |a|^2 |r|^2 is about exponential (a sum of many
terms over its own empirical variance), so that its false-alarm threshold needs no noise level.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.model_selection import most_sources
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings
from unfolded_ogamp.imaging.sources import Sources, remove, trim
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import distances


def search_grid(sources: Sources, problem: Problem, spacing: float) -> SearchGrid:
    """The search grid of the nodes where they are; `energy` has the weights of the links."""
    array = sources.nodes.moved(problem.array)
    return SearchGrid.of(array, problem.grid, problem.link.square(), problem.dictionary_scale, spacing)


def add(
    model: Model, problem: Problem, grid: SearchGrid, settings: CalibrationSettings, most: int, apart: float
) -> Sources:
    """Add at most `most` of the strongest peaks above the false-alarm threshold, `apart` wavelengths from others."""
    sources, weighted = model.sources, model.residual * problem.link
    image = grid.back_project(weighted)
    power = weighted.real.square() + weighted.imag.square()
    ratio = (image.real.square() + image.imag.square()) * grid.energy / grid.weighted_energy(power)
    least = (grid.count / settings.false_alarm).log()
    response = torch.where(ratio > least[:, None], image.real.square() + image.imag.square(), 0)
    if sources.used.any():
        distance = distances(grid.position, sources.position).masked_fill(~sources.used[:, None], torch.inf).amin(2)
        response = response.masked_fill(distance < apart * problem.array.wavelength[:, None], 0.0)
    strongest = response.amax(1)
    room = most_sources(model, problem) - sources.used.sum(1)
    radius = settings.separation * problem.array.wavelength[:, None]
    scene = torch.arange(len(response), device=response.device)
    for number in range(most):
        value, index = response.max(1)
        new = (value > 0) & (value >= settings.share * strongest) & (number < room)
        if not new.any():
            break
        position = grid.position[scene, index]
        reflectivity = (image[scene, index] * grid.energy[scene, index].rsqrt()).to(sources.reflectivity)
        sources = sources.with_points(position[:, None], reflectivity[:, None], new[:, None])
        response = response.masked_fill((grid.position - position[:, None]).norm(dim=-1) < radius, 0.0)
    return trim(sources)


def robust_strength(model: Model, problem: Problem) -> Tensor:
    """|x|^2 over its variance for independent residuals of any variances, other unknowns known: [B, S]."""
    columns, weighted = model.columns.without_derivatives(), model.residual * problem.link
    spread = columns.energy_of_power(weighted.real.square() + weighted.imag.square())
    energy = columns.energy(problem.link)
    tiny = torch.finfo(energy.dtype).tiny
    return model.sources.reflectivity.abs().square() * energy.square() / spread.clamp(min=tiny)


def merge_and_prune(model: Model, problem: Problem, settings: CalibrationSettings) -> Sources:
    """Sources without weak ones, without those outside the region, and with close ones merged."""
    sources, strength = model.sources, robust_strength(model, problem)
    least = math.log(problem.grid.centre.shape[1] / settings.false_alarm)
    weak = (strength < least) | ~problem.grid.holds(sources.position)
    distance = distances(sources.position, sources.position)
    close = distance < settings.merge_radius * problem.array.wavelength[:, None, None]
    kept = sources.used & ~weak
    above = close & kept[:, None] & (strength[:, None] > strength[:, :, None])
    absorbed = kept & above.any(2)
    return trim(remove(sources, sources.used & (weak | absorbed)))
