"""Columns of the exact dictionary on point scatterers, with their derivatives along the coordinates.

A column is T R, and its derivative is T' R + T R'. Sums over its links are sums of products of node-level factors; the
columns are formed only if links are missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.physics import NodeArray, expanded_wave, gain_constant
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class PointColumns(Record):
    """The exact dictionary at the positions of sources, with its derivatives along the D coordinates.

    Attributes:
        tx: T, then T' along every coordinate [B, K, n_tx, 1 + D, S]; [B, K, n_tx, 1, S] without derivatives.
        rx: R, then R' [B, K, n_rx, 1 + D, S].
    """

    tx: Tensor
    rx: Tensor

    @classmethod
    def at(cls, array: NodeArray, position: Tensor, used: Tensor, scale: Tensor) -> PointColumns:
        """The columns on positions [B, S, D] [m], divided by `scale` [B]; zero where `used` [B, S] is false."""
        constant = (gain_constant(array) / scale)[:, None, None, None]
        # an unused slot may lie on a node
        tx, rx = (
            torch.where(used[:, None, None, None], expanded_wave(array, nodes, gain, position), 0)
            for nodes, gain in array.sides
        )
        return cls(tx * constant[..., None], rx)

    @property
    def n_slots(self) -> int:
        """Number of slots S."""
        return self.tx.shape[-1]

    def channel(self, reflectivity: Tensor) -> Tensor:
        """A x: complex [B, S] -> [B, n_tx, n_rx, K]."""
        tx, rx = self.plain()
        return ((tx * reflectivity[:, None, None]) @ rx.mT).movedim(1, -1)

    def energy(self, link: Tensor) -> Tensor:
        """|column|^2 over the links [B, n_tx, n_rx, 1], roots of their weights, and the subcarriers: [B, S]."""
        return self.node_energies(link)[0].sum(1)

    def energy_of_power(self, weight: Tensor) -> Tensor:
        """Sum of weights [B, n_tx, n_rx, K] times |column|^2 over links and subcarriers: [B, S]."""
        tx, rx = (side.real.square() + side.imag.square() for side in self.plain())
        return (tx * (weight.movedim(-1, 1) @ rx)).sum((1, 2))

    def node_energies(self, link: Tensor) -> tuple[Tensor, Tensor]:
        """|column|^2 over the subcarriers and the links of every node: [B, n_tx, S], [B, n_rx, S]."""
        tx, rx = (side.real.square() + side.imag.square() for side in self.plain())
        every = link[..., 0].square()[:, None]
        return (tx * (every @ rx)).sum(1), (rx * (every.mT @ tx)).sum(1)

    def correlations(self, csi: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of conj(csi) times the columns over the links of every node: [B, n_tx, (1 + D) S], [B, n_rx, ...]."""
        conjugate = csi.movedim(-1, 1).conj().resolve_conj()
        tx, rx = self._flat()
        at_tx, at_rx = self._product(tx, conjugate @ rx), self._product(rx, conjugate.mT @ tx)
        return at_tx.sum(1), at_rx.sum(1)

    def matched(self, csi: Tensor) -> Tensor:
        """A^H y [B, (1 + D) S] of CSI [B, n_tx, n_rx, K] that is zero where there is no link."""
        conjugate = csi.movedim(-1, 1).conj().resolve_conj()
        tx, rx = self._flat()
        return self._product(tx, conjugate @ rx).sum((1, 2)).conj().resolve_conj()

    def gram(self, link: Tensor) -> Tensor:
        """A^H A over the links [B, n_tx, n_rx, 1], roots of their weights: complex [B, (1 + D) S, (1 + D) S].

        If every link is measured, each entry is a sum of products of Gram matrices of Tx and of Rx. Missing links
        break this structure, and the columns are formed.
        """
        if not bool((link == 1).all()):
            columns = self.written_out(link).flatten(2, 3)
            return (columns.mH @ columns).sum(1)
        # the product rule along the columns, and along the rows
        (tx, tx_slopes), (rx, rx_slopes) = (self._rows(side.mH @ side) for side in self._flat())
        slopes = self._product(tx_slopes, rx[:, :, None]) + self._product(tx[:, :, None], rx_slopes)
        return torch.cat([self._product(tx, rx), slopes.flatten(2, 3)], dim=2).sum(1)

    def written_out(self, link: Tensor) -> Tensor:
        """The columns on the links [B, n_tx, n_rx, 1]: complex [B, K, n_tx, n_rx, (1 + D) S]."""
        tx, rx = self._flat()
        return self._product(tx[:, :, :, None], rx[:, :, None]) * link[:, None]

    def plain(self) -> tuple[Tensor, Tensor]:
        """T and R alone: [B, K, n_tx, S], [B, K, n_rx, S]."""
        return self.tx[..., 0, :], self.rx[..., 0, :]

    def slots(self, order: Tensor) -> PointColumns:
        """The columns of the slots in the index [B, S']."""
        index = order[:, None, None, None]
        tx, rx = (side.gather(4, index.expand(*side.shape[:4], -1)) for side in (self.tx, self.rx))
        return PointColumns(tx, rx)

    def padded(self, n_slots: int) -> PointColumns:
        """The same columns, padded with zeros to `n_slots` slots."""
        missing = (0, n_slots - self.n_slots)
        return PointColumns(torch.nn.functional.pad(self.tx, missing), torch.nn.functional.pad(self.rx, missing))

    def without_derivatives(self) -> PointColumns:
        """The columns alone."""
        return PointColumns(self.tx[..., :1, :], self.rx[..., :1, :])

    def _flat(self) -> tuple[Tensor, Tensor]:
        """Both sides with flattened columns [..., (1 + D) S], for matrix products."""
        return self.tx.flatten(3), self.rx.flatten(3)

    def _product(self, one: Tensor, other: Tensor) -> Tensor:
        """Products of two sides [..., (1 + D) S] by the product rule."""
        repeats = self.tx.shape[-2]
        if repeats == 1:
            return one * other
        (value, slopes), (other_value, other_slopes) = (
            (side[..., : self.n_slots], side[..., self.n_slots :].unflatten(-1, (repeats - 1, self.n_slots)))
            for side in (one, other)
        )
        rule = slopes * other_value[..., None, :] + value[..., None, :] * other_slopes
        return torch.cat([value * other_value, rule.flatten(-2)], dim=-1)

    def _rows(self, gram: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the columns themselves [B, K, S, C] and of their derivatives [B, K, D, S, C] of a matrix."""
        slopes = gram[:, :, self.n_slots :].unflatten(2, (self.tx.shape[-2] - 1, self.n_slots))
        return gram[:, :, : self.n_slots], slopes
