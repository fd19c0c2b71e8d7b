"""Linear maps of an array as products of node-level factors: forward, adjoint and energy, never a dense matrix."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Operator(Protocol):
    """A batch of linear maps A, one per scene, from coefficients [B, Q, N] to observations [B, ...].

    Observations have any number of dimensions: [B, n_tx, n_rx, K] of links, or [B, n, K] of the elements of an array.
    """

    def forward(self, coefficients: Tensor) -> Tensor:
        """A x: complex [B, Q, N] -> [B, ...]."""
        ...

    def adjoint(self, observation: Tensor) -> Tensor:
        """A^H y: complex [B, ...] -> [B, Q, N]."""
        ...

    def energy(self, variance: Tensor) -> Tensor:
        """|A|^2 v, squared entry by entry: real [B, Q, N] -> [B, ...], or a shape that broadcasts to it."""
        ...

    def energy_adjoint(self, weight: Tensor) -> Tensor:
        """(|A|^2)^T w: real [B, ...] -> [B, Q, N]."""
        ...
