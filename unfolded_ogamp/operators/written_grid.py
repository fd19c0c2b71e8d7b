"""Images of many residuals of one scene: the dictionary on a search grid, written out link by link.

The factors of a `SearchGrid` need little memory. If there are few links and many residuals, one matrix product with the
written-out dictionary is several times faster.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.memory import require_memory
from unfolded_ogamp.operators.search_grid import SearchGrid


@dataclass(frozen=True)
class WrittenGrid:
    """The normalised atoms of one scene on Q positions, in single precision; R residuals share them.

    Attributes:
        position: [Q, D], [m].
        energy: |atom|^2 over the links [Q].
        real, imaginary: parts of the atoms a / |a|, links and subcarriers flattened [n_tx * n_rx * K, Q].
        shape: n_tx, n_rx, K.
    """

    position: Tensor
    energy: Tensor
    real: Tensor
    imaginary: Tensor
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, grid: SearchGrid, link: Tensor) -> WrittenGrid:
        """The atoms of a search grid of one scene on its links [1, n_tx, n_rx, 1].

        Raises:
            MemoryLimitError: if there is no memory for them.
        """
        n_tx, n_rx = link.shape[1:3]
        n_bytes = 24.0 * n_tx * n_rx * grid.tx.shape[1] * grid.position.shape[1]
        require_memory(n_bytes, f"a written-out search grid of {grid.position.shape[1]} positions", link.device)
        tx, rx = grid.tx[0].movedim(0, 1), grid.rx[0].movedim(0, 1)
        tx_cosine, tx_sine = tx[:n_tx, None], tx[n_tx:, None]
        rx_cosine, rx_sine = rx[None, :n_rx], rx[None, n_rx:]
        scale = link[0, ..., None].float() * grid.energy[0].rsqrt()
        real = (tx_cosine * rx_cosine - tx_sine * rx_sine) * scale
        imaginary = (tx_cosine * rx_sine + tx_sine * rx_cosine) * -scale
        shape = (n_tx, n_rx, grid.tx.shape[1])
        return cls(grid.position[0], grid.energy[0], real.flatten(0, 2), imaginary.flatten(0, 2), shape)

    def back_project(self, residual: Tensor) -> Tensor:
        """Normalised images a^H r / |a| of [R, n_tx, n_rx, K]: complex [R, Q]."""
        parts = torch.cat([residual.real.flatten(1), residual.imag.flatten(1)]).float()
        (real, turned), (across, imaginary) = ((parts @ side).chunk(2) for side in (self.real, self.imaginary))
        return torch.complex(real + imaginary, turned - across)

    def channel(self, image: Tensor) -> Tensor:
        """The adjoint of `back_project`: [R, Q] -> [R, n_tx, n_rx, K]."""
        parts = torch.cat([image.real, image.imag])
        (real, turned), (across, imaginary) = ((parts @ side.mT).chunk(2) for side in (self.real, self.imaginary))
        return torch.complex(real - imaginary, turned + across).unflatten(1, self.shape)
