"""The multistatic dictionary A as a column-wise Kronecker product, never formed.

On every subcarrier the gain of a pixel splits into a factor of the Tx and one of the Rx, equations (1)-(3):

    A[(i, j), n] = T[i, n] R[j, n]
    A x          = (T diag(x)) R^T
    A^H y        = column sums of conj(T) * (Y conj(R))
    |A|^2 v      = |T|^2 diag(v) (|R|^2)^T

so that storage is (n_tx + n_rx) K N numbers and the work is matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unfolded_ogamp.memory import require_memory
from unfolded_ogamp.physics import NodeArray, amplitude, distances, gain_constant, node_wave
from unfolded_ogamp.records import Record

PEAK_BYTES = 64  # for every node, frequency and position, while the dictionary is computed


def require_dictionary_memory(array: NodeArray, position: Tensor, each: int) -> None:
    """Refuse a dictionary on `position` [B, N, D] that takes more memory than is available.

    Args:
        array: nodes and frequencies.
        position: of the atoms.
        each: bytes for every node, frequency and position at the peak.

    Raises:
        MemoryLimitError: with one line.
    """
    n_scenes, n_positions, _ = position.shape
    n_waves = array.frequency.shape[1] * (array.tx.shape[1] + array.rx.shape[1])
    require_memory(each * n_scenes * n_waves * n_positions, f"a dictionary on {n_positions} positions", position.device)


def dictionary_scale(array: NodeArray, position: Tensor, nearest: Tensor) -> Tensor:
    """Root mean square amplitude of the dictionary over links and positions [B, N, D]: [B].

    Divided by it, the atoms make all quantities of an estimator of order one, for any range and wavelength. Distances
    below `nearest` [B] [m] count as `nearest`, so that no position next to a node dominates the scale.

    Raises:
        MemoryLimitError: if there is no memory for a dictionary on these positions.
    """
    require_dictionary_memory(array, position, PEAK_BYTES)
    nearest = nearest[:, None, None]
    tx_power, rx_power = (
        amplitude(array, distances(nodes, position).maximum(nearest), gain).square().mean(-2)
        for nodes, gain in array.sides
    )
    return gain_constant(array) * (tx_power * rx_power).mean(-1).sqrt()


@dataclass(frozen=True)
class MultistaticOperator(Record):
    """Forward, adjoint and energy maps of the dictionary on N positions, for one coefficient per position.

    Coefficients are [B, 1, N] and CSI is [B, n_tx, n_rx, K], so that this operator and its off-grid extension, which
    has 1 + D coefficients per position, can stand in for one another.

    Attributes:
        tx_factor: T of every subcarrier, with the path-loss constant, complex [B, K, n_tx, N].
        rx_factor: R of every subcarrier, complex [B, K, n_rx, N].
    """

    tx_factor: Tensor
    rx_factor: Tensor

    @classmethod
    def at(cls, array: NodeArray, position: Tensor, scale: Tensor) -> MultistaticOperator:
        """The dictionary on `position` [B, N, D] [m], its atoms divided by `scale` [B].

        Raises:
            MemoryLimitError: if there is no memory for it.
        """
        require_dictionary_memory(array, position, PEAK_BYTES)
        constant = (gain_constant(array) / scale)[:, None, None, None]
        tx, rx = (node_wave(array, distances(nodes, position), gain) for nodes, gain in array.sides)
        return cls(tx_factor=tx * constant, rx_factor=rx)

    def forward(self, coefficients: Tensor) -> Tensor:
        """A x: [B, 1, N] -> [B, n_tx, n_rx, K]."""
        return ((self.tx_factor * coefficients[:, :, None, :]) @ self.rx_factor.mT).movedim(1, -1)

    def adjoint(self, csi: Tensor) -> Tensor:
        """A^H y: [B, n_tx, n_rx, K] -> [B, 1, N]."""
        conjugate = csi.movedim(-1, 1).conj().resolve_conj()
        return (self.tx_factor * (conjugate @ self.rx_factor)).sum((1, 2)).conj().resolve_conj()[:, None]

    def energy(self, variance: Tensor) -> Tensor:
        """|A|^2 v: real [B, 1, N] -> [B, n_tx, n_rx, 1], the same on every subcarrier."""
        tx_power, rx_power = self.powers()
        return ((tx_power * variance) @ rx_power.mT)[..., None]

    def energy_adjoint(self, weight: Tensor) -> Tensor:
        """(|A|^2)^T w: real [B, n_tx, n_rx, K] -> [B, 1, N]."""
        tx_power, rx_power = self.powers()
        return (tx_power * (weight.sum(-1) @ rx_power)).sum(1, keepdim=True)

    def powers(self) -> tuple[Tensor, Tensor]:
        """|T|^2 [B, n_tx, N] and |R|^2 [B, n_rx, N]; the path loss does not depend on the subcarrier."""
        first_tx, first_rx = self.tx_factor[:, 0], self.rx_factor[:, 0]
        return (
            first_tx.real.square() + first_tx.imag.square(),
            first_rx.real.square() + first_rx.imag.square(),
        )
