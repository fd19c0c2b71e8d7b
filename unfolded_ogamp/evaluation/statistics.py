"""Averages over scenes with confidence intervals, and coverage of confidence regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import chi2, norm
from torch import Tensor

CONFIDENCE = 0.95
RESAMPLES = 2000
BOOTSTRAP_SEED = 0
LEVELS = (0.5, 0.9, 0.99)  # nominal coverage of the evaluated confidence regions


@dataclass(frozen=True)
class Statistic:
    """Mean and median of a metric, 95 % interval [low, high] of the mean, and number n of scenes with a value."""

    mean: float
    median: float
    low: float
    high: float
    n: int


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson score interval of a proportion at 95 % confidence; nan for n = 0."""
    if n == 0:
        return math.nan, math.nan
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    share, shrink = successes / n, 1 + z**2 / n
    middle = (share + z**2 / (2 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def statistic_of(values: Sequence[float] | NDArray[np.float64]) -> Statistic:
    """Statistic of numbers, one per scene, without nan values; the interval is a percentile bootstrap."""
    value = np.asarray(values, dtype=np.float64)
    value = value[~np.isnan(value)]
    if len(value) == 0:
        return Statistic(math.nan, math.nan, math.nan, math.nan, 0)
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    means = value[generator.integers(len(value), size=(RESAMPLES, len(value)))].mean(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Statistic(float(value.mean()), float(np.median(value)), float(low), float(high), len(value))


def proportion_of(outcomes: Sequence[float]) -> Statistic:
    """Statistic of outcomes 0 or 1, one per scene, with the Wilson interval."""
    statistic = statistic_of(outcomes)
    low, high = wilson_interval(int(math.fsum(outcomes)), len(outcomes))
    return Statistic(statistic.mean, statistic.median, low, high, statistic.n)


def pooled_share(counts: Sequence[float], totals: Sequence[float]) -> Statistic:
    """Share of items pooled over scenes, from the counted items and all items of each scene; n is the number of items.

    Items of one scene are not independent. The interval is the percentile bootstrap over scenes, widened to the Wilson
    interval of independent items, as a bootstrap of equal outcomes has no width. The median is nan.
    """
    count, total = (np.asarray(values, dtype=np.float64) for values in (counts, totals))
    n = round(float(total.sum()))
    if n == 0:
        return Statistic(math.nan, math.nan, math.nan, math.nan, 0)
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = generator.integers(len(total), size=(RESAMPLES, len(total)))
    drawn_total = total[drawn].sum(1)
    shares = count[drawn].sum(1)[drawn_total > 0] / drawn_total[drawn_total > 0]
    low, high = np.quantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    least, most = wilson_interval(round(float(count.sum())), n)
    return Statistic(float(count.sum()) / n, math.nan, min(float(low), least), max(float(high), most), n)


def region_level(error: Tensor, covariance: Tensor) -> Tensor:
    """Probability of the smallest Gaussian confidence ellipse around the estimate that contains the true value [P].

    Args:
        error: error of the positions [P, D], [m].
        covariance: stated covariance [P, D, D], [m^2]. The result is 0 if it is infinite (no statement) and 1 if it is
            nan.
    """
    finite = torch.isfinite(covariance).all(-1).all(-1)
    safe = torch.where(finite[:, None, None], covariance, torch.eye(error.shape[1]).to(covariance))
    squared = (error * torch.linalg.solve(safe, error[..., None])[..., 0]).sum(-1)
    level = torch.as_tensor(chi2.cdf(squared.numpy(), error.shape[1]))
    return torch.where(finite, level, covariance.isnan().any(-1).any(-1).to(level))


def interval_level(error: Tensor, std: Tensor) -> Tensor:
    """Probability of the smallest Gaussian confidence interval around the estimate that contains the true value [P]."""
    return torch.erf(error.abs() / std / 2**0.5)


def share_inside(level: Tensor, nominal: float) -> float:
    """Share of the true values inside the region of probability `nominal`; nan without values."""
    return float((level <= nominal).double().mean())
