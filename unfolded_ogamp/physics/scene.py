"""A scene: all quantities that determine its CSI, except the noise samples."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unfolded_ogamp.physics.geometry import NodeArray, PixelGrid
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Scene(Record):
    """A batch of B scenes with the same numbers of nodes, subcarriers, pixels and scatterers.

    Attributes:
        array: nodes and frequencies.
        grid: pixels that the estimators use; the true scatterers need not lie on their centres.
        position: true scatterer positions [B, S, D], [m].
        reflectivity: true complex reflectivities [B, S].
        tx_phase, rx_phase: true node phases [B, n_tx, K], [B, n_rx, K], [rad].
        link: links that are measured, bool [B, n_tx, n_rx].
        los: links whose CSI contains the line of sight (u_m of (8)), bool [B, n_tx, n_rx].
        noise_variance: variance of the complex noise [B].
        assumed: nodes that the estimators assume, if they differ from the true nodes; else None.
    """

    array: NodeArray
    grid: PixelGrid
    position: Tensor
    reflectivity: Tensor
    tx_phase: Tensor
    rx_phase: Tensor
    link: Tensor
    los: Tensor
    noise_variance: Tensor
    assumed: NodeArray | None = None

    @property
    def assumed_array(self) -> NodeArray:
        """Nodes that the estimators assume."""
        return self.array if self.assumed is None else self.assumed
