"""Groups of close sources as one extended target each, with the moments of the group about its centroid.

The series of a source at p + d about p is exp(-j delta . s) times its own one, delta = d in units of lambda_c / 8, see
`moments`. A series is an array [5, ..., 5] of the coefficients of s^k, with an axis per coordinate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.clusters import EXTENT
from unfolded_ogamp.imaging.moments import ORDERS, UNIT, exponents
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration.priors import with_moments
from unfolded_ogamp.imaging.sources import Sources, remove, trim

LEAST_SUM = 0.3  # of the reflectivities of a group, over the sum of their magnitudes
LARGEST_START = 1.0  # magnitude of a moment at the start


def combined(sources: Sources, owner: Tensor, problem: Problem) -> Sources:
    """Sources with moments, every group as one target; others of a group are removed.

    The strongest of a group stays as it is if the reflectivities nearly cancel or the centroid lies far away.

    Args:
        sources: points or extended targets.
        owner: slot of the strongest source of the group of every source, int64 [B, S].
        problem: geometry.
    """
    sources = sources if sources.moment.shape[-1] else with_moments(sources)
    slot = torch.arange(owner.shape[1], device=owner.device)
    absorbed = sources.used & (owner != slot)
    target = torch.zeros_like(sources.reflectivity.real).scatter_add(1, owner, absorbed.to(sources.position)) > 0
    unit, dimension = UNIT * problem.array.wavelength[:, None, None], sources.position.shape[-1]
    first = _of_groups(sources, owner, sources.position, unit)
    sizes = torch.zeros_like(sources.reflectivity.real).scatter_add(1, owner, sources.reflectivity.abs())
    total = _coefficient(first, ())
    kept = target & (total.abs() > LEAST_SUM * sizes)
    gradient = torch.stack([_coefficient(first, (axis,)) for axis in range(dimension)], dim=-1)
    # a shift delta has the series 1 - j delta . s
    shift = -(gradient / torch.where(kept, total, 1)[..., None]).imag * unit
    kept = kept & (shift.norm(dim=-1) < EXTENT * problem.array.wavelength[:, None])
    centroid = sources.position + torch.where(kept[..., None], shift, 0)
    series = _of_groups(sources, owner, centroid, unit)
    total = torch.where(kept, _coefficient(series, ()), 1)
    moment = torch.stack([_coefficient(series, axes) / total for axes in exponents(dimension)], dim=-1)
    moment = moment / moment.abs().clamp(min=LARGEST_START) * LARGEST_START
    return trim(
        remove(
            replace(
                sources,
                position=centroid,
                reflectivity=torch.where(kept, total, sources.reflectivity),
                moment=torch.where(kept[..., None], moment, sources.moment),
            ),
            absorbed,
        )
    )


def _of_groups(sources: Sources, owner: Tensor, about: Tensor, unit: Tensor) -> Tensor:
    """Series of all groups about points [B, S, D], in the slots of the owners: complex [B, S, 5, ..., 5]."""
    dimension, order = sources.position.shape[-1], max(ORDERS)
    away = (sources.position - about.gather(1, owner[..., None].expand(-1, -1, dimension))) / unit
    terms = [torch.ones_like(away).to(sources.reflectivity)]
    for power in range(1, order + 1):
        terms.append(terms[-1] * -1j * away / power)
    single = torch.stack(terms, dim=-1)  # [B, S, D, 5]
    shifted = single[..., 0, :]
    for axis in range(1, dimension):
        shifted = shifted[..., None] * single[..., axis, :].reshape(*shifted.shape[:2], *[1] * axis, order + 1)
    product = shifted.clone()
    for number, axes in enumerate(exponents(dimension)):
        powers = [axes.count(axis) for axis in range(dimension)]
        later: Any = (..., *(slice(one, None) for one in powers))
        earlier: Any = (..., *(slice(None, order + 1 - one) for one in powers))
        moment = sources.moment[..., number].reshape(*shifted.shape[:2], *[1] * dimension)
        product[later] = product[later] + moment * shifted[earlier]
    product = product * sources.reflectivity.reshape(*shifted.shape[:2], *[1] * dimension)
    index = owner.reshape(*owner.shape, *[1] * dimension).expand_as(product)
    return torch.zeros_like(product).scatter_add(1, index, product)


def _coefficient(series: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Coefficient of the monomial with factors along these axes [B, S]."""
    dimension, count = series.ndim - 2, series.shape[-1]
    return series.flatten(2)[..., sum(count ** (dimension - 1 - axis) for axis in axes)]
