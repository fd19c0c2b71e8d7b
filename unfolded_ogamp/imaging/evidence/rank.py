"""The rank of the links' matrix: a lower bound of the number of scatterers, whatever the node phases.

The echo of a scatterer is a matrix of rank one over Tx and Rx, and node phases are unitary diagonal matrices, which
change no singular value. The largest singular value of noise alone is sigma (sqrt(n_tx) + sqrt(n_rx)), Geman, "A limit
theorem for the norm of random matrices", 1980.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem

EDGE = 1.05  # noise alone rarely exceeds its asymptotic limit by more


def with_least_count(problem: Problem) -> Problem:
    """The problem with the least number of scatterers in every scene; 0 in scenes of unknown noise variance.

    Of several subcarriers the largest rank counts. Of a matrix with missing links, or with links that contain a line of
    sight, a part without them is taken.

    Args:
        problem: geometry and CSI; coherent subcarriers are averaged.
    """
    ranks = [_rank(problem, scene) for scene in range(len(problem.csi))]
    return replace(problem, least_count=torch.stack(ranks))


def _rank(problem: Problem, scene: int) -> Tensor:
    """Rank of the links' matrix of one scene, int64 []."""
    noise = problem.noise_variance[scene]
    tx, rx = largest_block((problem.link[scene, ..., 0] > 0) & ~(problem.los[scene] != 0).any(-1))
    block = problem.csi[scene][tx][:, rx].movedim(-1, 0)
    if block.numel() == 0:
        return problem.least_count.new_zeros(())
    limit = EDGE * noise.sqrt() * (len(tx) ** 0.5 + len(rx) ** 0.5)
    above = (singular_values(block) > limit).sum(1).amax()
    return torch.where(noise > 0, above, 0)


def singular_values(matrix: Tensor) -> Tensor:
    """Singular values [..., n], descending; entries that are not finite, as of lengths beyond all units, count as 0."""
    return torch.linalg.svdvals(torch.where(matrix.isfinite(), matrix, 0))


def largest_block(link: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of Tx and of Rx between which all links [n_tx, n_rx] (bool) are measured.

    The node with the largest share of missing links is left out until none is missing; this finds a large block, not
    always the largest.
    """
    tx, rx = (torch.arange(count, device=link.device) for count in link.shape)
    while not link[tx][:, rx].all():
        missing = (~link[tx][:, rx]).double()
        of_tx, of_rx = missing.mean(1), missing.mean(0)
        if of_tx.max() >= of_rx.max():
            tx = tx[torch.arange(len(tx), device=tx.device) != of_tx.argmax()]
        else:
            rx = rx[torch.arange(len(rx), device=rx.device) != of_rx.argmax()]
    return tx, rx
