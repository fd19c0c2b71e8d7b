"""Damped least squares from normal equations A x = b, scaled to a unit diagonal.

With this scale the units of the unknowns do not matter, and one damping applies to all. Damping also bounds the steps
along unobservable directions, in which A is singular.
"""

from __future__ import annotations

import torch
from torch import Tensor


def solve(matrix: Tensor, right: Tensor, damping: Tensor | float, moving: Tensor | None = None) -> Tensor:
    """Solution of the damped normal equations; zero for fixed unknowns and for singular systems.

    Args:
        matrix: A, real symmetric or complex Hermitian [B, P, P].
        right: b, [B, P].
        damping: added to the unit diagonal, as a number or one per system [B].
        moving: which unknowns are free, bool [B, P]; None for all.

    Returns:
        x, [B, P].
    """
    return solve_many(matrix, right[..., None], damping, moving)[..., 0]


def solve_many(matrix: Tensor, right: Tensor, damping: Tensor | float, moving: Tensor | None = None) -> Tensor:
    """`solve` for R right-hand sides at once: [B, P, R] -> [B, P, R]."""
    system, scale = scaled(matrix, damping, moving)
    factor, failed = _factor(system)
    change = torch.cholesky_solve(scale[..., None] * right, factor)
    return torch.where(failed[:, None, None], 0, change) * scale[..., None]


def inverse(matrix: Tensor, damping: Tensor | float, moving: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Inverse of the damped matrix [B, P, P], zero for fixed unknowns; and which matrices are singular, bool [B]."""
    system, scale = scaled(matrix, damping, moving)
    factor, failed = _factor(system)
    return torch.cholesky_inverse(factor) * scale[:, :, None] * scale[:, None], failed


def minimum_norm(matrix: Tensor, right: Tensor, tolerance: float) -> Tensor:
    """Undamped solution [B, P] of least norm on the unit diagonal, for columns that may be linearly dependent.

    Eigenvalues below `tolerance` times the largest one count as zero.
    """
    scale = matrix.diagonal(dim1=1, dim2=2).real.rsqrt()
    pseudo_inverse = torch.linalg.pinv(scale[:, :, None] * matrix * scale[:, None], rtol=tolerance, hermitian=True)
    return scale * (pseudo_inverse @ (scale * right)[..., None])[..., 0]


def scaled(matrix: Tensor, damping: Tensor | float, moving: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The damped matrix [B, P, P] with a unit diagonal, and the scale [B, P] that gives this diagonal.

    A fixed unknown, or one without information in the matrix, has the scale zero and a row of the identity.
    """
    diagonal = matrix.diagonal(dim1=1, dim2=2).real
    moving = diagonal > 0 if moving is None else moving & (diagonal > 0)
    scale = torch.where(moving, diagonal, torch.ones_like(diagonal)).rsqrt() * moving
    unit = scale[:, :, None] * matrix * scale[:, None]
    damping = torch.as_tensor(damping).to(diagonal).reshape(-1, 1)
    return plus_diagonal(unit, damping + (~moving).to(damping)), scale


def plus_diagonal(matrix: Tensor, value: Tensor) -> Tensor:
    """The matrix [B, P, P] with values [B, P] added to its diagonal."""
    return torch.diagonal_scatter(matrix, matrix.diagonal(dim1=1, dim2=2) + value, dim1=1, dim2=2)


def _factor(system: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky factors [B, P, P] and failures, bool [B]; a failed factor is the identity and passes no gradient."""
    factor, info = torch.linalg.cholesky_ex(system)
    failed = info > 0
    return torch.where(failed[:, None, None], torch.eye(system.shape[1]).to(system), factor), failed
