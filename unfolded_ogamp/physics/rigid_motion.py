"""Rigid motions, which change no distance between nodes and scatterers: errors without them are aligned errors."""

from __future__ import annotations

import torch
from torch import Tensor


def rigid_motions(position: Tensor) -> Tensor:
    """Orthonormal displacements of points [n, D] by translations and small rotations: [n D, at most D (D + 1) / 2]."""
    count, dimension = position.shape
    moves = list(torch.eye(dimension).to(position)[:, None].expand(-1, count, -1))
    centred = position - position.mean(0)
    for first in range(dimension):
        for second in range(first):
            turn = torch.zeros_like(position)
            turn[:, first], turn[:, second] = -centred[:, second], centred[:, first]
            moves.append(turn)
    left, level, _ = torch.linalg.svd(torch.stack([move.flatten() for move in moves], dim=1), full_matrices=False)
    return left[:, level > 1e-9 * level[0]]


def aligned(error: Tensor, position: Tensor) -> Tensor:
    """Errors [n, D] of points [n, D] without the rigid motion that fits them best, to first order in the rotation."""
    moves = rigid_motions(position)
    return error - (moves @ (moves.mT @ error.flatten())).reshape(error.shape)


def aligned_covariance(covariance: Tensor, position: Tensor) -> Tensor:
    """Covariance [n D, n D] of `aligned` errors, from that of the errors."""
    moves = rigid_motions(position)
    rest = torch.eye(len(covariance)).to(covariance) - moves @ moves.mT
    return rest @ covariance @ rest.mT
