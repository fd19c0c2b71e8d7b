"""Signs that the model does not fit the CSI: extended targets, and links and nodes with a gain of their own.

Two signs need no noise level. Several points cover an extended target: more of them lie close together than points
spread over the region would. And what a misfit leaves adds up differently at every node: all nodes see a scatterer that
is there, and not one that is invented. The third sign needs the noise level: the residual exceeds it.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import distances

LEAST_REST = 1e-6  # share of the energy that the other nodes must hold


class MismatchWarning(UserWarning):
    """CSI that point scatterers, the assumed line of sight and noise do not explain."""


def warn_of_mismatch(model: Model, ratio: Tensor, misfit: Tensor) -> None:
    """Warn in one line of the mismatches that were found in a batch.

    Args:
        model: with the corrections that the CSI asked for.
        ratio: residual over noise [B].
        misfit: scenes whose residual exceeds the noise, bool [B].
    """
    extended, near_field = model.correction.extended, model.correction.near_field
    found = []
    if extended.any():
        found.append("targets are extended, and echoes next to one are counted as part of it")
    if near_field.any():
        found.append("the line of sight is not that of free space")
    if misfit.any():
        found.append(f"the residual is {float(ratio[misfit].max()):.2g} times the noise, and its variance is raised")
    if found:
        scenes = int((extended | near_field | misfit).sum())
        where = "" if len(misfit) == 1 else f" in {scenes} of {len(misfit)} scenes"
        warnings.warn(
            f"points and noise do not explain the CSI{where}: {'; '.join(found)}", MismatchWarning, stacklevel=2
        )


def companions(sources: Sources, power: Tensor, radius: Tensor) -> Tensor:
    """Sources within `radius` [B] [m] of one of more `power` [B, S] that is no companion itself: bool [B, S].

    There, a weak source cannot be told from what a strong one leaves because it is no point.
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
    """Scenes with more companions than `false_alarm` allows among sources spread evenly over the region: bool [B].

    That n of N sources fall into a share q of the region has at most the probability exp(-N D(n / N || q)), D the
    divergence of the two (Chernoff's bound of the binomial distribution).
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
    """Noise variance along the column of each source [B, S] that leaving out one node at a time shows.

    The jackknife variance of the reflectivity, times the power of the column, of Tx or of Rx, whichever is larger: it
    holds for noise that differs between nodes and links or is correlated at a node.
    """
    columns = model.columns
    energy = columns.energy(problem.link)
    tiny = torch.finfo(energy.dtype).tiny
    sides = columns.node_energies(problem.link)
    scores = (score[..., : columns.n_slots] for score in columns.correlations(model.residual))
    found = []
    for score, part in zip(scores, sides, strict=True):
        # without a node the rest has the share 1 - h of the energy, and its estimate moves by score / (1 - h)
        rest = 1 - part / energy[:, None].clamp(min=tiny)
        moved = (score.real.square() + score.imag.square()) / rest.clamp(min=tiny).square()
        # a node without which nothing is left tells nothing of the others
        found.append(torch.where(rest > LEAST_REST, moved, 0).sum(1))
    return torch.maximum(*found) / energy.clamp(min=tiny)


def node_threshold(chance: Tensor, n_nodes: int) -> Tensor:
    """Power over `node_noise` that noise alone exceeds with probability `chance`: few nodes know their noise badly.

    The ratio of the two has the F distribution of 2 and 2 (n - 1) degrees of freedom, n nodes.
    """
    degrees = max(n_nodes - 1, 1)
    return degrees * (chance.pow(-1 / degrees) - 1)
