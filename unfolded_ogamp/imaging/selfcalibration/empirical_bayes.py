"""Scales of the priors that maximise the evidence (empirical Bayes; MacKay, "Bayesian interpolation", 1992).

For unknowns theta of one scale with information A, all others marginalised, and A theta_0 = b at the maximum theta_0 of
the likelihood, the evidence over that of theta = 0 is

    L(s) = (b^T (A + I / s^2)^-1 b - log det(I + s^2 A)) / 2.

In CSI of the model no scale raises it by much; then the scale is the least one, and the unknowns cost nothing.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration.priors import Prior, Scales

NEEDED = 2.0  # log evidence that a scale must gain over the least one
# the model is linear only near the fit: a scale grows by this factor at most in an update, or to its first value
GROWTH = 2.0
MOST_SHIFT, MOST_LEVEL, MOST_MOMENT, MOST_COUPLING = 10.0, 10.0, 30.0, 1e3  # largest scales over the first ones
CANDIDATES = 200  # scales that are compared, evenly spaced in their logarithm


def empirical_bayes(
    scales: Scales, found: Prior, covariance: Tensor, free: Tensor, problem: Problem
) -> tuple[Scales, Tensor]:
    """Best scales of one scene, and the effective number of unknowns of shifts, levels, moments and coupling [1].

    The effective number is the sum of gamma_q = 1 - C_qq / s_q^2, the share of q that the CSI determines.

    Args:
        scales: before, those of the fit.
        found: prior at the fitted unknowns.
        covariance: posterior covariance of the unknowns [1, P, P].
        free: free unknowns, bool [1, P]; the others say nothing about the scales.
        problem: geometry; scales that it tells stay.
    """
    variance = covariance.diagonal(dim1=1, dim2=2)
    gamma = (1 - variance * found.precision).clamp(0, 1) * free
    effective = (gamma * (found.group > 0)).sum(1)
    first, least = Scales.first(problem), Scales.least(problem)

    def best(group: int, name: str, most: float) -> Tensor:
        now, begun, low = (getattr(one, name) for one in (scales, first, least))
        mine = free[0] & (found.group == group)
        if not mine.any():
            return now
        ratio = float((begun / now).flatten()[0])
        factor = best_factor(
            covariance[0][mine][:, mine],
            found.deviation[0, mine],
            found.precision[0, mine],
            float((low / now).flatten()[0]),
            min(max(GROWTH, ratio), most * ratio),
        )
        return now * factor

    return replace(
        scales,
        shift=torch.where(problem.node_std.isnan(), best(1, "shift", MOST_SHIFT), scales.shift),
        level=torch.where(problem.gain_std.isnan(), best(2, "level", MOST_LEVEL), scales.level),
        moment=best(3, "moment", MOST_MOMENT),
        coupling=best(4, "coupling", MOST_COUPLING),
    ), effective


def best_factor(covariance: Tensor, mode: Tensor, precision: Tensor, low: float, high: float) -> Tensor:
    """Factor of the scale of a group that maximises the evidence, or `low` if that gains less than `NEEDED`.

    Args:
        covariance: posterior covariance of the group [Q, Q].
        mode: posterior mean [Q].
        precision: prior precisions [Q], at the scale before.
        low, high: least and largest factor.
    """
    root = precision.rsqrt()  # unknowns in units of their prior
    posterior = torch.linalg.inv(covariance / root[:, None] / root)
    information = posterior - torch.eye(len(mode)).to(posterior)
    value, vector = torch.linalg.eigh((information + information.mT) / 2)
    matched = vector.mT @ (posterior @ (mode / root))
    value = value.clamp(min=0)[:, None]
    factor = torch.logspace(0, 1, CANDIDATES, base=high / low).to(value) * low
    gain = (matched.square()[:, None] * factor.square() / (1 + factor.square() * value)).sum(0)
    evidence = (gain - (factor.square() * value).log1p().sum(0)) / 2
    return torch.where(evidence.amax() < NEEDED, low, factor[evidence.argmax()])
