"""Clusters of sources: several points in place of an extended target lie closer together than chance allows."""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import distances

EXTENT = 0.5  # radius within which sources may be parts of one target, in carrier wavelengths
FALSE_ALARM = 1e-2  # probability that sources spread evenly over the region count as clustered


def beside(sources: Sources, strength: Tensor, radius: Tensor) -> Tensor:
    """Sources within `radius` [B] [m] of a stronger one that is not beside another itself, bool [B, S].

    `strength` [B, S] orders the sources. Such a source may be a true scatterer or a part of an extended target.
    """
    left, near = sources.used, torch.zeros_like(sources.used)
    distance = distances(sources.position, sources.position)
    for _ in range(left.shape[1]):
        strongest = torch.where(left, strength, -torch.inf).argmax(1, keepdim=True)
        close = distance.gather(1, strongest[..., None].expand(-1, -1, left.shape[1]))[:, 0] < radius[:, None]
        left = left & ~torch.zeros_like(left).scatter(1, strongest, True)
        near, left = near | (left & close), left & ~close
        if not left.any():
            break
    return near


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
