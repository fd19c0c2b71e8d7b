"""Clusters of sources: several points in place of an extended target lie closer together than chance allows."""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import distances

EXTENT = 0.5  # radius within which sources may be parts of one target, in carrier wavelengths
FALSE_ALARM = 1e-2  # probability that sources spread evenly over the region count as clustered


def owners(sources: Sources, strength: Tensor, radius: Tensor) -> Tensor:
    """The source that each one belongs to, int64 [B, S]: the strongest within `radius` [B] [m] that owns itself.

    `strength` [B, S] orders the sources. One that belongs to another is a true scatterer, or a part of an extended
    target.
    """
    slot = torch.arange(sources.used.shape[1], device=sources.used.device)
    left, owner = sources.used, slot.expand_as(sources.used)
    distance = distances(sources.position, sources.position)
    for _ in range(left.shape[1]):
        strongest = torch.where(left, strength, -torch.inf).argmax(1, keepdim=True)
        close = distance.gather(1, strongest[..., None].expand(-1, -1, left.shape[1]))[:, 0] < radius[:, None]
        own = torch.zeros_like(left).scatter(1, strongest, True)
        owner = torch.where(left & close & ~own, strongest, owner)
        left = left & ~close & ~own
        if not left.any():
            break
    return owner


def beside(sources: Sources, strength: Tensor, radius: Tensor) -> Tensor:
    """Sources that belong to another one, bool [B, S], see `owners`."""
    slot = torch.arange(sources.used.shape[1], device=sources.used.device)
    return sources.used & (owners(sources, strength, radius) != slot)


def clustered(sources: Sources, strength: Tensor, problem: Problem) -> Tensor:
    """Scenes with more sources beside others than sources spread evenly over the region would have: bool [B].

    The probability that n of N sources fall into a share q of the region is at most exp(-N D(n / N || q)), D the
    Kullback-Leibler divergence (Chernoff's bound of the binomial distribution); `FALSE_ALARM` limits it.
    """
    dimension, radius = sources.position.shape[-1], EXTENT * problem.array.wavelength
    disc = torch.pi * radius.square() * (1 if dimension == 2 else 4 / 3 * radius)
    region = problem.grid.centre.shape[1] * problem.grid.pixel.pow(dimension)
    n_beside, n_sources = beside(sources, strength, radius).sum(1), sources.used.sum(1)
    share = ((n_sources - n_beside) * disc / region).clamp(max=1.0)
    others = (n_sources - 1).clamp(min=1)
    fraction = n_beside / others
    divergence = torch.xlogy(fraction, fraction / share) + torch.xlogy(1 - fraction, (1 - fraction) / (1 - share))
    surprising = others * divergence.nan_to_num(nan=0.0) > -torch.tensor(FALSE_ALARM).log()
    return surprising & (fraction > share)
