"""Turn active pixels into a list of scatterers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.imaging.estimate import Scatterers
from unfolded_ogamp.imaging.ogamp.iteration import ImagingState, estimated_shift
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.settings import Settings, not_negative, within


@dataclass(frozen=True)
class ListSettings(Settings):
    """How active pixels become a list of scatterers; by default every active pixel is listed, as in the paper.

    Attributes:
        threshold: eta_c, probability above which a pixel is active.
        merge_radius: estimates closer than this are merged, in wavelengths. Pixels on both sides of an edge share a
            scatterer near it.
        shadow_radius, shadow_ratio: an estimate within this radius [wavelengths] of a stronger one is dropped if its
            amplitude is below this share of the stronger one. The first zero of the point response is at 0.38
            wavelengths; within it, a weak scatterer and the model error of a strong one look alike.
    """

    threshold: Annotated[float, within("(0, 1)")] = 0.5
    merge_radius: Annotated[float, not_negative] = 0.0
    shadow_radius: Annotated[float, not_negative] = 0.0
    shadow_ratio: Annotated[float, not_negative] = 0.0


@torch.no_grad()
def list_scatterers(
    state: ImagingState, problem: Problem, settings: ListSettings, offset_limit: float
) -> list[Scatterers]:
    """The active pixels of every scene as scatterers, most probable first.

    Args:
        state: imaging state.
        problem: geometry and units.
        settings: how pixels become scatterers.
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
        active = (log_odds[scene].sigmoid() > settings.threshold).nonzero()[:, 0]
        active = active[log_odds[scene, active].argsort(descending=True)]
        found = Scatterers.points(
            position=position[scene, active],
            covariance=torch.diag_embed(spread[scene, active].square()),
            reflectivity=reflectivity[scene, active],
            probability=log_odds[scene, active].sigmoid(),
        )
        found = combine(found, settings, float(problem.array.wavelength[scene]))
        result.append(replace(found, reflectivity=found.reflectivity * problem.reflectivity_scale[scene]))
    return result


def combine(scatterers: Scatterers, settings: ListSettings, wavelength: float) -> Scatterers:
    """Merge or drop estimates close to a stronger one, strongest first; `wavelength` in [m].

    Merging adds reflectivities, averages positions weighted by amplitude, and keeps the largest probability.
    """
    if len(scatterers.position) == 0:
        return scatterers
    strength = scatterers.reflectivity.abs()
    distance = torch.cdist(scatterers.position, scatterers.position) / wavelength
    weak = strength < settings.shadow_ratio * strength[:, None]
    owner = torch.full_like(strength, -1, dtype=torch.long)
    dropped = torch.zeros_like(owner, dtype=torch.bool)
    for leader in strength.argsort(descending=True).tolist():
        if owner[leader] < 0 and not dropped[leader]:
            owner[(distance[leader] < settings.merge_radius) & (owner < 0) & ~dropped] = leader
            owner[leader] = leader
            dropped |= (distance[leader] < settings.shadow_radius) & weak[leader] & (owner < 0)
    scatterers = _select(scatterers, ~dropped)
    strength, owner = strength[~dropped], owner[~dropped]
    leaders, group = owner.unique(return_inverse=True)
    member = (group == torch.arange(len(leaders), device=group.device)[:, None]).to(strength)
    share = member * strength
    share = share / share.sum(1, keepdim=True)
    lead = (strength * member).argmax(1)
    merged = Scatterers.points(
        position=share @ scatterers.position,
        covariance=scatterers.covariance[lead],
        reflectivity=member.to(scatterers.reflectivity.dtype) @ scatterers.reflectivity,
        probability=(member * scatterers.probability).amax(1),
    )
    return _select(merged, merged.probability.argsort(descending=True, stable=True))


def _select(scatterers: Scatterers, index: Tensor) -> Scatterers:
    return scatterers[index]
