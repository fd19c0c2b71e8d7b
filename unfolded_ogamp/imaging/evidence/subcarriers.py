"""Averaging of subcarriers with nearly equal responses: the same information in fewer numbers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import SPEED_OF_LIGHT, distances, unit_phasor

LARGEST_ANGLE = 0.1  # [rad]; an average over plus and minus this loses at most 0.5 % of an echo


def coherent(problem: Problem) -> Problem:
    """The problem with groups of neighbouring subcarriers averaged.

    The delay of an echo from the middle of the region is first compensated. The subcarriers of a group then differ
    only because other echoes and lines of sight arrive earlier or later. If this rotates none by more than
    `LARGEST_ANGLE`, the average equals a measurement on one subcarrier in the middle of the group, with less noise. All
    subcarriers share the node phases.
    """
    size = group_size(problem)
    if size == 1:
        return problem
    frequency = problem.array.frequency.unflatten(1, (-1, size))
    middle = frequency.mean(2)
    advance = middle_advance(problem, (frequency - middle[..., None]).flatten(1))

    def average(csi: Tensor) -> Tensor:
        return (csi * advance).unflatten(3, (-1, size)).mean(4)

    return replace(
        problem,
        array=replace(problem.array, frequency=middle),
        csi=average(problem.csi),
        los=average(problem.los),
        noise_variance=problem.noise_variance / size,
        noise_std=problem.noise_std / size,
    )


def group_size(problem: Problem) -> int:
    """Largest divisor of K such that groups of this many subcarriers can be averaged in every scene of the batch."""
    frequency, spread = problem.array.frequency, delay_spread(problem)
    n_frequencies = frequency.shape[1]
    for size in (n for n in range(n_frequencies, 1, -1) if n_frequencies % n == 0):
        groups = frequency.unflatten(1, (-1, size))
        reach = (groups - groups.mean(2, keepdim=True)).abs().amax((1, 2))
        if bool((2 * torch.pi * reach * spread < LARGEST_ANGLE).all()):
            return size
    return 1


def delay_spread(problem: Problem) -> Tensor:
    """Largest delay of a path relative to that over the middle of the region, earlier or later: [B], [s]."""
    grid = problem.grid
    corner = (grid.centre - grid.centre.mean(1, keepdim=True)).norm(dim=2).amax(1) + grid.pixel
    line = distances(problem.array.tx, problem.array.rx) - _through_middle(problem)
    with_los = (problem.los != 0).any(3)
    return (2 * corner).maximum((line.abs() * with_los).amax((1, 2))) / SPEED_OF_LIGHT


def middle_advance(problem: Problem, offset: Tensor) -> Tensor:
    """Phasor that compensates the delay over the middle of the region at frequency offsets [B, K] [Hz].

    Returns:
        complex [B, n_tx, n_rx, K].
    """
    delay = _through_middle(problem) / SPEED_OF_LIGHT
    return unit_phasor(offset[:, None, None] * delay[..., None]).conj().resolve_conj()


def _through_middle(problem: Problem) -> Tensor:
    """Length of the path from every Tx via the middle of the region to every Rx [B, n_tx, n_rx], [m]."""
    centre = problem.grid.centre.mean(1, keepdim=True)
    return distances(problem.array.tx, centre) + distances(problem.array.rx, centre).mT
