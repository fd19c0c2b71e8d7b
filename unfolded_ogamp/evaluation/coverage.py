"""Whether what estimates say of their own accuracy is true: how often the truth lies in their confidence regions."""

from __future__ import annotations

import torch
from scipy.stats import chi2
from torch import Tensor

LEVELS = (0.5, 0.9, 0.99)


def region_level(error: Tensor, covariance: Tensor) -> Tensor:
    """Probability of the smallest ellipse around an estimate that reaches the truth, for a Gaussian error [P].

    Args:
        error: of the positions [P, D], [m].
        covariance: that is claimed for them [P, D, D], [m^2]; 0 is returned where it is infinite, which claims nothing,
            and 1 where it is no number.
    """
    finite = torch.isfinite(covariance).all(-1).all(-1)
    safe = torch.where(finite[:, None, None], covariance, torch.eye(error.shape[1]).to(covariance))
    squared = (error * torch.linalg.solve(safe, error[..., None])[..., 0]).sum(-1)
    level = torch.as_tensor(chi2.cdf(squared.numpy(), error.shape[1]))
    return torch.where(finite, level, covariance.isnan().any(-1).any(-1).to(level))


def interval_level(error: Tensor, std: Tensor) -> Tensor:
    """Probability of the smallest interval around an estimate that reaches the truth, for a Gaussian error [P]."""
    return torch.erf(error.abs() / std / 2**0.5)


def share_inside(level: Tensor, nominal: float) -> float:
    """Share of the truths that lie in the region of probability `nominal`; nan of none."""
    return float((level <= nominal).double().mean())
