"""Robust weights of links: Student-t while a fit is rough, then a mixture of good links and outliers.

A link has one weight for all subcarriers, because interference, blockage or a wrong cable concern the whole link.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.records import Record

DEGREES = 2.0  # of freedom of the Student-t distribution
MOST_OUTLIERS = 0.5  # largest share of outliers of a mixture
ITERATIONS = 20  # of expectation maximisation
LOW = 0.5  # weight of an outlier
FEW_OUTLIERS = 0.03  # share of the links
LEAST = 1e-4  # least weight of a measured link


def link_power(model: Model, problem: Problem) -> Tensor:
    """Sum of |y exp(j Phi) - h|^2 over the subcarriers, without weights [B, n_tx, n_rx]; zero without a link."""
    root = problem.link[..., 0]
    power = (model.residual.real.square() + model.residual.imag.square()).sum(-1)
    return torch.where(root > 0, power / root.square().clamp(min=LEAST / 10), 0)


def student(model: Model, problem: Problem, link: Tensor) -> Tensor:
    """Student-t weights [B, n_tx, n_rx, 1], 1 on average of the links that hold noise alone.

    The scale is the noise variance, or that of the median link if it is larger.

    Args:
        model: fit with any weights.
        problem: the problem with these weights.
        link: measured links, bool [B, n_tx, n_rx].
    """
    count, power = problem.csi.shape[-1], link_power(model, problem)
    scale = torch.maximum(problem.noise_variance, median(power, link) / count / _median_of_gamma(count))
    weight = (DEGREES + 2 * count) / (DEGREES + 2 * power / scale[:, None, None])
    return (weight / (1 + 2 * count / DEGREES) ** 0.5 * link).clamp(max=2.0)[..., None]


@dataclass(frozen=True)
class Mixture(Record):
    """A mixture of good links and outliers.

    Attributes:
        weight: expected noise variance of a good link over that of the link [B, n_tx, n_rx, 1].
        slope: derivative of the weight by the power of the residual of the link [B, n_tx, n_rx].
        share: share of the outliers [B].
        good, bad: variances of the residual of a good link and of an outlier [B].
        log_likelihood: of the residual of all links [B].
    """

    weight: Tensor
    slope: Tensor
    share: Tensor
    good: Tensor
    bad: Tensor
    log_likelihood: Tensor


def mixture(model: Model, problem: Problem, link: Tensor, unknowns: Tensor) -> Mixture:
    """The mixture that fits the residual best, by expectation maximisation.

    Args:
        model, problem, link: as in `student`.
        unknowns: number of real unknowns of the fit [B], which lower the residual.
    """
    count, raw, there = problem.csi.shape[-1], link_power(model, problem), link.to(model.cost)
    n_links = there.sum((1, 2))
    free = (1 - unknowns / (2 * n_links * count)).clamp(min=0.1)
    power = raw / free[:, None, None]
    good = torch.maximum(problem.noise_variance, median(power, link) / count / _median_of_gamma(count))
    bad = torch.maximum((power * there).sum((1, 2)) / n_links / count, 10 * good)
    share = torch.full_like(good, 0.1)

    def log_odds(value: Tensor) -> Tensor:
        v, larger = good[:, None, None], bad[:, None, None]
        return (share / (1 - share)).log()[:, None, None] - count * (larger / v).log() + value / v - value / larger

    for _ in range(ITERATIONS):
        outlier = log_odds(power).sigmoid() * there
        kept = there - outlier
        share = (outlier.sum((1, 2)) / n_links).clamp(1e-6, MOST_OUTLIERS)
        good = torch.maximum(problem.noise_variance, (kept * power).sum((1, 2)) / kept.sum((1, 2)) / count)
        bad = ((outlier * power).sum((1, 2)) + 1e-3 * good) / (outlier.sum((1, 2)) + 1e-3) / count
        bad = torch.maximum(bad, 4 * good)
    weight = (kept + outlier * (good / bad)[:, None, None]).clamp(min=LEAST)[..., None] * link[..., None]
    fall = (1 / good - 1 / bad) * (1 - good / bad) / free
    slope = -fall[:, None, None] * kept * outlier * link
    of_good = (1 - share).log()[:, None, None] - count * good.log()[:, None, None] - raw / good[:, None, None]
    likelihood = ((of_good + torch.nn.functional.softplus(log_odds(raw))) * there).sum((1, 2))
    return Mixture(weight, slope, share, good, bad, likelihood)


def outliers_stand_out(model: Model, problem: Problem) -> Tensor:
    """Whether links of low weight are few, or hold more interference than signal: bool [B].

    Otherwise the model may not fit them: part of its own error would count as interference.
    """
    weight = problem.link[..., 0].square()
    lost = ((weight > 0) & (weight < LOW)).to(weight)
    channel = model.channel.abs().square().sum(-1) / weight.clamp(min=LEAST / 10)
    strong = (lost * link_power(model, problem)).sum((1, 2)) >= (lost * channel).sum((1, 2))
    return strong | (lost.sum((1, 2)) <= FEW_OUTLIERS * (weight > 0).sum((1, 2)))


def median(power: Tensor, link: Tensor) -> Tensor:
    """Median of the links [B]."""
    return torch.where(link, power, torch.nan).flatten(1).nanmedian(1).values


def _median_of_gamma(count: int) -> float:
    """Median of the mean of `count` exponential variables, about (Wilson and Hilferty, 1931)."""
    return math.log(2) if count == 1 else (1 - 1 / (9 * count)) ** 3
