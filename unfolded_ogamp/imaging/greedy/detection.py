"""Detection: echoes that stand out of the residual become sources, and sources that do not stand out go."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood import joint_step, normal_equations
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.likelihood.model_selection import detection_threshold, noise_power
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, columns_of, compact
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import distances


def add(
    sources: Sources, problem: Problem, sized: Tensor, search_grid: SearchGrid, settings: GreedySettings, limit: Tensor
) -> Sources:
    """The sources and at most `limit` [B] of the strongest echoes of the residual, as the matched filter sees them.

    Where targets have size, bool [B], none next to a source.
    """
    difference, _ = normal_equations.residual(sources, problem, columns_of(sources, problem))
    image = search_grid.back_project(difference)
    response = image.real.square() + image.imag.square()
    if sized.any() and sources.used.any():
        distance = distances(search_grid.position, sources.position).masked_fill(~sources.used[:, None], torch.inf)
        beside = distance.amin(2) < settings.size * problem.array.wavelength[:, None]
        response = response.masked_fill(beside & sized[:, None], 0.0)
    noise = noise_power(normal_equations.power(difference), sources, problem)
    least = (search_grid.count / settings.false_alarm).log() * noise
    least = torch.maximum(least, settings.share * response.amax(1))
    room = (problem.n_samples / (sources.position.shape[-1] + 2)).long() - sources.used.sum(1)
    radius = settings.separation * problem.array.wavelength[:, None]
    scene = torch.arange(len(response), device=response.device)
    for number in range(int(limit.max())):
        value, index = response.max(1)
        new = (value >= least) & (number < limit) & (number < room)
        if not new.any():
            break
        position = search_grid.position[scene, index]
        reflectivity = (image[scene, index] * search_grid.energy[scene, index].rsqrt()).to(sources.reflectivity.dtype)
        sources = replace(
            sources,
            position=torch.cat([sources.position, position[:, None]], dim=1),
            reflectivity=torch.cat([sources.reflectivity, torch.where(new, reflectivity, 0)[:, None]], dim=1),
            used=torch.cat([sources.used, new[:, None]], dim=1),
        )
        response = response.masked_fill((search_grid.position - position[:, None]).norm(dim=-1) < radius, 0.0)
    return compact(sources)


def tidied(state: JointState, problem: Problem, settings: GreedySettings) -> JointState:
    """The state after `tidy`."""
    return joint_step.init(tidy(state.sources, problem, settings), problem)


def tidy(sources: Sources, problem: Problem, settings: GreedySettings) -> Sources:
    """Merge what is too close, drop what does not stand out of the noise or has left the region by half a pixel."""
    columns = columns_of(sources, problem)
    noise = noise_power(
        normal_equations.power(normal_equations.residual(sources, problem, columns)[0]), sources, problem
    )
    strength = sources.reflectivity.abs().square() * columns.energy(problem.link)
    edge = problem.grid.pixel[:, None, None]
    low, high = problem.grid.centre.amin(1, keepdim=True) - edge, problem.grid.centre.amax(1, keepdim=True) + edge
    inside = ((sources.position > low) & (sources.position < high)).all(-1)
    least = detection_threshold(problem.grid.centre.shape[1], settings) * noise
    used = sources.used & (strength > least[:, None]) & inside

    distance = distances(sources.position, sources.position)
    close = distance < settings.merge_radius * problem.array.wavelength[:, None, None]
    above = close & used[:, None] & (strength[:, None] > strength[:, :, None])
    absorbed = used & above.any(2)
    strongest = torch.where(above, strength[:, None], 0.0).argmax(2) if above.shape[1] else absorbed.long()
    # of a chain, the links next to the strongest: what they would be given to must stay
    absorbed = absorbed & ~absorbed.gather(1, strongest)
    given = torch.where(absorbed, sources.reflectivity, 0)
    reflectivity = sources.reflectivity.scatter_add(1, strongest, given)
    return compact(replace(sources, reflectivity=reflectivity, used=used & ~absorbed))
