"""Distances and matching between true and estimated points."""

from __future__ import annotations

import math

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

MATCH_GATE = 0.1  # largest distance of a matched pair, in carrier wavelengths


def pairwise_distance(true: Tensor, estimated: Tensor, unknown: float) -> Tensor:
    """Distance of every true to every estimated position: [S, D], [E, D] to [S, E], [m].

    A non-finite position has the distance `unknown` [m] from all others.
    """
    distance = (true[:, None] - estimated[None]).square().sum(-1).sqrt()
    return distance.nan_to_num(nan=unknown, posinf=unknown)


def match(distance: Tensor, gate: float) -> tuple[Tensor, Tensor]:
    """Optimal one-to-one assignment within a gate: as many pairs as possible, then the least summed distance.

    Args:
        distance: distance of every true to every estimated point [S, E], [m].
        gate: largest distance of a pair [m].

    Returns:
        Indices of the true and of the estimated point of each pair, int64 [number of pairs] each.
    """
    # an additional pair within the gate outweighs the sum of all distances
    worth = min(distance.shape) + 1.0
    cost = torch.where(distance <= gate, distance / gate - worth, torch.zeros_like(distance))
    true, estimated = (torch.as_tensor(index) for index in linear_sum_assignment(cost.numpy()))
    within = distance[true, estimated] <= gate
    return true[within], estimated[within]


def matched_estimates(true: Tensor, estimated: Tensor, wavelength: float) -> Tensor:
    """Estimated positions [E, D] that match a true one [S, D] within `MATCH_GATE`: bool [E]."""
    distance = pairwise_distance(true, estimated, math.inf)
    found = torch.zeros(distance.shape[1], dtype=torch.bool)
    found[match(distance, MATCH_GATE * wavelength)[1]] = True
    return found


def chamfer_distance(distance: Tensor, empty: float) -> float:
    """Sum of both directed mean distances to the nearest, from [S, E]; `empty` if one set is empty, 0 if both are."""
    if 0 in distance.shape:
        return 0.0 if sum(distance.shape) == 0 else empty
    return float(distance.amin(1).mean() + distance.amin(0).mean())


def gospa_distance(distance: Tensor, cut_off: float) -> float:
    """GOSPA distance of order 2, alpha = 2: a pair costs d^2, a missed or false point cut_off^2 / 2."""
    cost = distance.clamp(max=cut_off).square()
    true, estimated = linear_sum_assignment(cost.numpy())
    unpaired = abs(distance.shape[0] - distance.shape[1])
    return math.sqrt(float(cost[true, estimated].sum()) + unpaired * cut_off**2 / 2)
