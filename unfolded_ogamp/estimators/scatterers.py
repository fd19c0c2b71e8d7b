"""From pixels to a list of scatterers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.estimate import Scatterers
from unfolded_ogamp.estimators.off_grid_gamp import ImagingState, estimated_shift
from unfolded_ogamp.estimators.problem import Problem


@torch.no_grad()
def list_scatterers(
    state: ImagingState, problem: Problem, threshold: float, merge_radius: float, offset_limit: float
) -> list[Scatterers]:
    """The active pixels of every scene as scatterers, most probable first.

    Args:
        state: imaging state.
        problem: geometry and units.
        threshold: eta_c, probability above which a pixel is active.
        merge_radius: active pixels closer than this are one scatterer, in wavelengths; 0 merges none. Pixels on the two
            sides of an edge share a scatterer that is near it.
        offset_limit: largest offset along a coordinate, in pixels.
    """
    posterior = state.messages.posterior
    log_odds = posterior.log_odds[:, 0]
    limit = problem.grid.pixel[:, None, None] * offset_limit
    offset = state.offset + estimated_shift(state)
    position = problem.grid.centre + torch.maximum(torch.minimum(offset, limit), -limit)
    reflectivity = posterior.active_mean[:, 0]
    # the real part of s / x carries half of the variance of s
    spread = (posterior.active_variance[:, 1:].mT / 2).sqrt() / (reflectivity.abs()[..., None] + 1e-6)
    spread = spread if spread.shape[-1] else problem.grid.pixel[:, None, None].expand_as(position) / 12**0.5
    result = []
    for scene in range(len(log_odds)):
        active = (log_odds[scene].sigmoid() > threshold).nonzero()[:, 0]
        active = active[log_odds[scene, active].argsort(descending=True)]
        found = Scatterers(
            position=position[scene, active],
            position_std=spread[scene, active],
            reflectivity=reflectivity[scene, active],
            probability=log_odds[scene, active].sigmoid(),
        )
        found = merge(found, merge_radius * float(problem.array.wavelength[scene]))
        result.append(replace(found, reflectivity=found.reflectivity * problem.reflectivity_scale[scene]))
    return result


def merge(scatterers: Scatterers, radius: float) -> Scatterers:
    """Merge what is closer than `radius` [m] to a stronger scatterer into it, strongest first.

    Reflectivities add, positions are averaged by amplitude, and the probability is the largest one.
    """
    if len(scatterers.position) == 0:
        return scatterers
    strength = scatterers.reflectivity.abs()
    close = torch.cdist(scatterers.position, scatterers.position) < radius
    owner = torch.full_like(strength, -1, dtype=torch.long)
    for leader in strength.argsort(descending=True).tolist():
        if owner[leader] < 0:
            owner[close[leader] & (owner < 0)] = leader
            owner[leader] = leader
    leaders, group = owner.unique(return_inverse=True)
    member = (group == torch.arange(len(leaders), device=group.device)[:, None]).to(strength)
    share = member * strength
    share = share / share.sum(1, keepdim=True)
    merged = Scatterers(
        position=share @ scatterers.position,
        position_std=scatterers.position_std[leaders],
        reflectivity=member.to(scatterers.reflectivity.dtype) @ scatterers.reflectivity,
        probability=(member * scatterers.probability).amax(1),
    )
    return _sorted(merged)


def _sorted(scatterers: Scatterers) -> Scatterers:
    order: Tensor = scatterers.probability.argsort(descending=True, stable=True)
    return Scatterers(
        scatterers.position[order],
        scatterers.position_std[order],
        scatterers.reflectivity[order],
        scatterers.probability[order],
    )
