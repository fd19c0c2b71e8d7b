"""From a Fisher matrix to a bound: gauge directions, prior information and nuisance unknowns, whatever the model."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEGLIGIBLE = 1e-10  # share of the measured information below which prior information on the gauge is a rounding error


def inverse(fisher: Tensor, gauge: Tensor) -> Tensor:
    """Cramer-Rao bound on the covariance; inf everywhere if the matrix is singular beside the gauge.

    Adding information along the gauge leaves the bound of everything that does not depend on the gauge as it is.

    Args:
        fisher: Fisher matrix of P unknowns [P, P].
        gauge: changes of the unknowns that change no measurement, in its columns [P, G].
    """
    scale = _scale(fisher)
    held = torch.linalg.qr(gauge / scale[:, None]).Q
    scaled = scale[:, None] * fisher * scale + held @ held.mT
    value, vector = torch.linalg.eigh(scaled)
    if len(value) and value[0] <= 10 * len(value) * torch.finfo(value.dtype).eps * value[-1]:
        return torch.full_like(fisher, math.inf)
    root = scale[:, None] * vector * value.rsqrt()
    return root @ root.mT


def with_prior(fisher: Tensor, gauge: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """Fisher matrix with prior information (van Trees), and the gauge directions without prior information.

    Args:
        fisher: Fisher matrix of P unknowns [P, P].
        gauge: gauge directions [P, G].
        precision: precision of the prior of each unknown [P]; zero without prior knowledge.
    """
    prior, measured = precision @ gauge.square(), fisher.diagonal() @ gauge.square()
    return fisher + precision.diag(), gauge[:, prior <= NEGLIGIBLE * measured]


def equivalent_information(fisher: Tensor, kept: Tensor) -> Tensor:
    """Information on some of the unknowns if the others are unknown, too: the Schur complement.

    Its inverse is the block of the bound for these unknowns. Unmeasured directions of the nuisance unknowns do not
    reduce the information; the pseudo-inverse omits them.

    Args:
        fisher: Fisher matrix of P unknowns [P, P].
        kept: the Q unknowns of interest, bool [P].

    Returns:
        [Q, Q].
    """
    nuisance, cross = fisher[~kept][:, ~kept], fisher[kept][:, ~kept]
    scale = _scale(nuisance)
    solution = torch.linalg.pinv(scale[:, None] * nuisance * scale, hermitian=True) @ (scale[:, None] * cross.mT)
    return fisher[kept][:, kept] - (cross * scale) @ solution


def _scale(fisher: Tensor) -> Tensor:
    """Scale of the unknowns [P] that makes the diagonal one: metres, radians and reflectivities get equal weight."""
    diagonal = fisher.diagonal()
    return torch.where(diagonal > 0, diagonal, torch.ones_like(diagonal)).rsqrt()
