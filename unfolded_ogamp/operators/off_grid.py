"""The first-order off-grid dictionary [A, A_x, A_y(, A_z)] of (11)-(18); the matrix is never formed.

The gradient of a gain is the gain times -j 2 pi / lambda_k times the sum of the unit vectors from Tx and Rx, (12) with
the parentheses that (13) and (14) lack, so each derivative block is (T u_tx) R + T (u_rx R):

    A x + sum_d A_d s_d = (T * alpha) R^T + T (R * beta)^T,
    alpha = x - j kappa sum_d u_tx,d s_d,   beta = -j kappa sum_d u_rx,d s_d,

two matrix products per subcarrier for any dimension D.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.operators.multistatic import MultistaticOperator, require_dictionary_memory
from unfolded_ogamp.physics import NodeArray, unit_vectors
from unfolded_ogamp.records import Record

PEAK_BYTES = 1000  # for every node, frequency and position: message passing on all positions, as measured


@dataclass(frozen=True)
class OffGridOperator(Record):
    """Forward, adjoint and energy maps of the off-grid dictionary; coefficients [B, 1 + D, N] are (x, s_1, ..., s_D).

    s_d = reflectivity times offset along coordinate d, in metres; CSI is [B, n_tx, n_rx, K]. `gains` is the dictionary
    itself; `tx_direction` [B, D, n_tx, N] and `rx_direction` [B, D, n_rx, N] are unit vectors towards the positions;
    `wavenumber` is kappa = 2 pi / lambda_k [B, K], [rad/m].
    """

    gains: MultistaticOperator
    tx_direction: Tensor
    rx_direction: Tensor
    wavenumber: Tensor

    @classmethod
    def at(cls, array: NodeArray, position: Tensor, scale: Tensor) -> OffGridOperator:
        """The dictionary expanded around `position` [B, N, D] [m], its atoms divided by `scale` [B].

        To recentre the expansion, call this method again at the new positions.

        Raises:
            MemoryLimitError: if there is no memory for it and for message passing on it.
        """
        require_dictionary_memory(array, position, PEAK_BYTES)
        return cls(
            gains=MultistaticOperator.at(array, position, scale),
            tx_direction=unit_vectors(array.tx, position),
            rx_direction=unit_vectors(array.rx, position),
            wavenumber=array.wavenumber,
        )

    def forward(self, coefficients: Tensor) -> Tensor:
        """A x + sum_d A_d s_d: [B, 1 + D, N] -> [B, n_tx, n_rx, K]."""
        reflectivity, shift = coefficients[:, :1, None], coefficients[:, 1:, None]
        kappa = -1j * self.wavenumber[:, :, None, None]
        alpha = reflectivity + kappa * (self.tx_direction * shift).sum(1, keepdim=True)
        beta = kappa * (self.rx_direction * shift).sum(1, keepdim=True)
        tx_factor, rx_factor = self.gains.tx_factor, self.gains.rx_factor
        csi = (tx_factor * alpha) @ rx_factor.mT + tx_factor @ (rx_factor * beta).mT
        return csi.movedim(1, -1)

    def adjoint(self, csi: Tensor) -> Tensor:
        """The adjoint of `forward`: [B, n_tx, n_rx, K] -> [B, 1 + D, N]."""
        conjugate = csi.movedim(-1, 1).conj().resolve_conj()
        kappa = self.wavenumber[:, :, None, None]
        at_tx = self.gains.tx_factor * (conjugate @ self.gains.rx_factor)
        at_rx = self.gains.rx_factor * (conjugate.mT @ self.gains.tx_factor)
        reflectivity = at_tx.sum((1, 2))[:, None]
        tx_part = (self.tx_direction * (kappa * at_tx).sum(1, keepdim=True)).sum(2)
        rx_part = (self.rx_direction * (kappa * at_rx).sum(1, keepdim=True)).sum(2)
        return torch.cat([reflectivity, -1j * (tx_part + rx_part)], dim=1).conj().resolve_conj()

    def energy(self, variance: Tensor) -> Tensor:
        """|A|^2 v_0 + sum_d |A_d|^2 v_d: real [B, 1 + D, N] -> [B, n_tx, n_rx, K]."""
        tx_power, rx_power = self.gains.powers()
        shift = variance[:, 1:, None]
        along_tx = tx_power * (self.tx_direction.square() * shift).sum(1)
        along_rx = rx_power * (self.rx_direction.square() * shift).sum(1)
        mixed = (tx_power[:, None] * self.tx_direction * shift) @ (rx_power[:, None] * self.rx_direction).mT
        derivative = along_tx @ rx_power.mT + tx_power @ along_rx.mT + 2 * mixed.sum(1)
        return self.gains.energy(variance[:, :1]) + derivative[..., None] * self._squared_wavenumber()

    def energy_adjoint(self, weight: Tensor) -> Tensor:
        """The transpose of `energy`: real [B, n_tx, n_rx, K] -> [B, 1 + D, N]."""
        tx_power, rx_power = self.gains.powers()
        scaled = (weight * self._squared_wavenumber()).sum(-1)
        along_tx = self.tx_direction.square() * (tx_power * (scaled @ rx_power))[:, None]
        along_rx = self.rx_direction.square() * (rx_power * (scaled.mT @ tx_power))[:, None]
        mixed = (tx_power[:, None] * self.tx_direction) * (scaled[:, None] @ (rx_power[:, None] * self.rx_direction))
        derivative = along_tx.sum(2) + along_rx.sum(2) + 2 * mixed.sum(2)
        return torch.cat([self.gains.energy_adjoint(weight), derivative], dim=1)

    def _squared_wavenumber(self) -> Tensor:
        return self.wavenumber.square()[:, None, None, :]
