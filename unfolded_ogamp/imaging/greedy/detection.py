"""Detection: add echoes above the false-alarm threshold as sources; merge close sources and remove weak ones."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy.settings import DetectionSettings
from unfolded_ogamp.imaging.likelihood.model_selection import most_sources, noise_power, strength
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, trim
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import distances

RESIDUAL_SHARE = 0.5  # of a residual above the noise, counted as noise in the detection of echoes


def threshold(n_positions: int, false_alarm: float) -> float:
    """Matched-filter power over noise variance that noise exceeds at any of `n_positions` with this probability."""
    return math.log(n_positions / false_alarm)


def level(model: Model, problem: Problem) -> Tensor:
    """Noise variance that echoes have to exceed [B].

    At wrong node phases the residual holds echoes, too, and weak sources are a way out of local minima. Hence a share
    of the residual counts, if it exceeds the noise; the whole residual, if the noise variance is unknown.
    """
    residual = noise_power(model, problem)
    known = problem.noise_variance > 0
    return torch.where(known, torch.maximum(problem.noise_variance, RESIDUAL_SHARE * residual), residual)


def add(model: Model, problem: Problem, search_grid: SearchGrid, settings: DetectionSettings, limit: Tensor) -> Sources:
    """Add at most `limit` [B] of the strongest matched-filter peaks of the residual to the sources."""
    sources = model.sources
    image = search_grid.back_project(model.residual)
    response = image.real.square() + image.imag.square()
    least = (search_grid.count / settings.false_alarm).log() * level(model, problem)
    least = torch.maximum(least, settings.share * response.amax(1))
    # more sources than the samples determine are no fit
    room = most_sources(model, problem) - sources.used.sum(1)
    radius = settings.separation * problem.array.wavelength[:, None]
    scene = torch.arange(len(response), device=response.device)
    for number in range(int(limit.max())):
        value, index = response.max(1)
        new = (value >= least) & (number < limit) & (number < room)
        if not new.any():
            break
        position = search_grid.position[scene, index]
        reflectivity = (image[scene, index] * search_grid.energy[scene, index].rsqrt()).to(sources.reflectivity.dtype)
        sources = sources.with_points(position[:, None], reflectivity[:, None], new[:, None])
        response = response.masked_fill((search_grid.position - position[:, None]).norm(dim=-1) < radius, 0.0)
    return trim(sources)


def merge_and_prune(model: Model, problem: Problem, settings: DetectionSettings) -> Model:
    """Merge close sources; remove sources below the threshold and those more than half a pixel outside the region."""
    sources, power = model.sources, strength(model, problem)
    inside = problem.grid.holds(sources.position)
    least = threshold(problem.grid.centre.shape[1], settings.false_alarm) * level(model, problem)
    used = sources.used & (power > least[:, None]) & inside

    distance = distances(sources.position, sources.position)
    close = distance < settings.merge_radius * problem.array.wavelength[:, None, None]
    above = close & used[:, None] & (power[:, None] > power[:, :, None])
    absorbed = used & above.any(2)
    strongest = torch.where(above, power[:, None], 0.0).argmax(2) if above.shape[1] else absorbed.long()
    # in a chain of close sources, only neighbours of the strongest merge: a source that absorbs another one must stay
    absorbed = absorbed & ~absorbed.gather(1, strongest)
    given = torch.where(absorbed, sources.reflectivity, 0)
    reflectivity = sources.reflectivity.scatter_add(1, strongest, given)
    kept = trim(replace(sources, reflectivity=reflectivity, used=used & ~absorbed))
    return evaluate(kept, problem)
