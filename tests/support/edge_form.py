"""Algorithm 1, steps 3-5, exactly as in the paper: one message per row and pixel, dense blocks, no damping.

A slow reference for the node-level form of the package; it shares no code with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class EdgeMessages:
    """Messages after one iteration; Q blocks, M rows, N pixels."""

    edge_mean: Tensor  # [Q, N, M]
    edge_variance: Tensor
    total_mean: Tensor  # [Q, N]
    total_variance: Tensor
    activity: Tensor  # [N]
    active_mean: Tensor  # [Q, N]
    active_variance: Tensor


def log_normal(value: Tensor | float, mean: Tensor, variance: Tensor) -> Tensor:
    """Logarithm of the density CN(mean, variance) at `value`."""
    return -(torch.abs(value - mean) ** 2) / variance - torch.log(math.pi * variance)


def initial(blocks: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Step 1: every message at the prior of an active pixel; blocks [Q, M, N], prior [Q]."""
    q, m, n = blocks.shape
    return mean[:, None, None].expand(q, n, m).to(blocks.dtype), variance[:, None, None].expand(q, n, m)


def iterate(
    blocks: Tensor,
    y: Tensor,
    edge_mean: Tensor,
    edge_variance: Tensor,
    mean: Tensor,
    variance: Tensor,
    eta: float,
    noise_variance: float,
) -> EdgeMessages:
    """Steps 3-5 once: (35)-(38), (40)-(46), (47)-(52), (65)-(66), (72)-(78)."""
    power = blocks.abs() ** 2
    own_mean = blocks * edge_mean.mT  # [Q, M, N]
    own_variance = power * edge_variance.mT
    z = own_mean.sum((0, 2))[None, :, None] - own_mean  # (65)
    v = own_variance.sum((0, 2))[None, :, None] - own_variance  # (66)
    to_x = (y[None, :, None] - z) / blocks  # (35)
    to_v = (noise_variance + v) / power  # (36)
    total_variance = 1 / (1 / to_v).sum(1)  # (38)
    total_mean = total_variance * (to_x / to_v).sum(1)  # (37)

    mean, variance = mean[:, None], variance[:, None]
    zero = log_normal(0.0, total_mean, total_variance)  # (40)
    one = log_normal(mean, total_mean, variance + total_variance)  # (41)
    prior_odds = math.log(eta / (1 - eta))
    activity = (prior_odds + (one - zero).sum(0)).sigmoid()  # (47)-(50)
    others = (one - zero).sum(0) - (one - zero)  # (43)-(44)

    cavity_variance = 1 / (1 / total_variance[:, None] - 1 / to_v)  # (78)
    cavity_mean = cavity_variance * ((total_mean / total_variance)[:, None] - to_x / to_v)  # (77)
    mean_, variance_ = mean[:, None], variance[:, None]
    product_variance = 1 / (1 / variance_ + 1 / cavity_variance)  # (76)
    product_mean = product_variance * (mean_ / variance_ + cavity_mean / cavity_variance)  # (75)
    weight = log_normal(mean_, cavity_mean, variance_ + cavity_variance) - log_normal(0.0, cavity_mean, cavity_variance)
    probability = (prior_odds + others[:, None] + weight).sigmoid()  # (72)-(74)
    new_mean = probability * product_mean  # (45)
    new_variance = probability * product_variance + (probability - probability**2) * product_mean.abs() ** 2  # (46)

    active_variance = 1 / (1 / variance + 1 / total_variance)  # (52)
    active_mean = active_variance * (mean / variance + total_mean / total_variance)  # (51)
    return EdgeMessages(
        new_mean.mT, new_variance.mT, total_mean, total_variance, activity, active_mean, active_variance
    )
