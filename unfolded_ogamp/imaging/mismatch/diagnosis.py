"""Tests of model mismatch: extended targets, and links or nodes with unknown gains.

Two tests need no noise variance. Several points that replace an extended target lie closer together than points spread
evenly over the region. A false scatterer that fits a mismatch has a different amplitude at every node, and a true one
the same. The third test needs the noise variance: the residual exceeds it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import distances

LEAST_REST = 1e-6  # least share of the energy at the other nodes when one is left out


def companions(sources: Sources, power: Tensor, radius: Tensor) -> Tensor:
    """Companions, bool [B, S]: sources within `radius` [B] [m] of a stronger source that is no companion itself.

    `power` [B, S] orders the sources. A companion may be a true scatterer or part of an extended target.
    """
    left, position = sources.used, sources.position
    companion = torch.zeros_like(left)
    distance = distances(position, position)
    for _ in range(left.shape[1]):
        strongest = torch.where(left, power, -torch.inf).argmax(1, keepdim=True)
        near = distance.gather(1, strongest[..., None].expand(-1, -1, left.shape[1]))[:, 0] < radius[:, None]
        left = left & ~torch.zeros_like(left).scatter(1, strongest, True)
        companion = companion | (left & near)
        left = left & ~near
        if not left.any():
            break
    return companion


def clustered(sources: Sources, companion: Tensor, problem: Problem, radius: Tensor, false_alarm: float) -> Tensor:
    """Scenes with more companions than sources spread evenly over the region would have by chance: bool [B].

    The probability that n of N sources fall into a share q of the region is at most exp(-N D(n / N || q)), D the
    Kullback-Leibler divergence (Chernoff's bound of the binomial distribution); `false_alarm` limits it.
    """
    dimension = sources.position.shape[-1]
    disc = torch.pi * radius.square() * (1 if dimension == 2 else 4 / 3 * radius)
    region = problem.grid.centre.shape[1] * problem.grid.pixel.pow(dimension)
    n_companions, n_sources = companion.sum(1), sources.used.sum(1)
    share = ((n_sources - n_companions) * disc / region).clamp(max=1.0)
    others = (n_sources - 1).clamp(min=1)
    fraction = n_companions / others
    divergence = torch.xlogy(fraction, fraction / share) + torch.xlogy(1 - fraction, (1 - fraction) / (1 - share))
    surprising = others * divergence.nan_to_num(nan=0.0) > -torch.tensor(false_alarm).log()
    return surprising & (fraction > share)


def node_noise(model: Model, problem: Problem) -> Tensor:
    """Jackknife noise variance along the column of each source [B, S], one node left out at a time.

    It is the jackknife variance of the reflectivity times the energy of the column; the larger value of Tx and Rx
    counts. It holds for noise that differs between nodes and links, or is correlated at a node.
    """
    columns = model.columns
    energy = columns.energy(problem.link)
    tiny = torch.finfo(energy.dtype).tiny
    sides = columns.node_energies(problem.link)
    scores = (score[..., : columns.n_slots] for score in columns.correlations(model.residual))
    found = []
    for score, part in zip(scores, sides, strict=True):
        # without a node, the share 1 - h of the energy remains, and the estimate moves by score / (1 - h)
        rest = 1 - part / energy[:, None].clamp(min=tiny)
        moved = (score.real.square() + score.imag.square()) / rest.clamp(min=tiny).square()
        # a node that holds nearly all energy is not left out
        found.append(torch.where(rest > LEAST_REST, moved, 0).sum(1))
    return torch.maximum(*found) / energy.clamp(min=tiny)


def node_threshold(chance: Tensor, n_nodes: int) -> Tensor:
    """Power over `node_noise` that noise alone exceeds with probability `chance`.

    The ratio has the F distribution with 2 and 2 (n - 1) degrees of freedom for n nodes.
    """
    degrees = max(n_nodes - 1, 1)
    return degrees * (chance.pow(-1 / degrees) - 1)
