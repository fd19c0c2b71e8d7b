"""Positions of nodes and pixels in two or three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.memory import require_memory
from unfolded_ogamp.records import Record

SPEED_OF_LIGHT = 299_792_458.0  # [m/s]
FLAT = 0.05  # largest root mean square distance of the nodes from a line or plane, in carrier wavelengths


@dataclass(frozen=True)
class NodeArray(Record):
    """The nodes of a distributed array and the frequencies they measure at.

    Attributes:
        tx: transmitter positions [B, n_tx, D], [m].
        rx: receiver positions [B, n_rx, D], [m].
        frequency: subcarrier frequencies [B, K], [Hz].
        carrier_frequency: frequency that sets the path loss (3) [B], [Hz].
        loss_exponent: exponent p of the amplitude 1 / d^p [B]: 1 for spherical waves (None means 1), 1/2 for
            cylindrical waves.
        tx_gain, rx_gain: amplitude gains of the antennas [B, n_tx], [B, n_rx]; None means 1.
    """

    tx: Tensor
    rx: Tensor
    frequency: Tensor
    carrier_frequency: Tensor
    loss_exponent: Tensor | None = None
    tx_gain: Tensor | None = None
    rx_gain: Tensor | None = None

    @property
    def sides(self) -> tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]:
        """Positions and gains of the Tx, and of the Rx."""
        return (self.tx, self.tx_gain), (self.rx, self.rx_gain)

    @property
    def wavelength(self) -> Tensor:
        """Carrier wavelength lambda_c [B], [m]."""
        return SPEED_OF_LIGHT / self.carrier_frequency

    @property
    def wavenumber(self) -> Tensor:
        """2 pi / lambda_k of every subcarrier [B, K], [rad/m]."""
        return 2 * math.pi / SPEED_OF_LIGHT * self.frequency


@dataclass(frozen=True)
class PixelGrid(Record):
    """Pixel centres of a region of interest.

    Attributes:
        centre: pixel centres [B, N, D], [m]; the first coordinate varies fastest.
        pixel: side of the square or cubic pixels [B], [m].
    """

    centre: Tensor
    pixel: Tensor

    def holds(self, position: Tensor) -> Tensor:
        """Positions [B, S, D] [m] in the region, or at most half a pixel outside of it; bool [B, S]."""
        edge = self.pixel[:, None, None]
        low, high = self.centre.amin(1, keepdim=True) - edge, self.centre.amax(1, keepdim=True) + edge
        return ((position > low) & (position < high)).all(-1)


def flat_normal(array: NodeArray) -> Tensor | None:
    """The normal [D] of the line (2-D) or plane (3-D) that holds all nodes; None if none does. A batch of one."""
    nodes = torch.cat([array.tx, array.rx], dim=1)[0]
    _, level, axes = torch.linalg.svd(nodes - nodes.mean(0), full_matrices=len(nodes) < nodes.shape[1])
    if len(level) < nodes.shape[1] or float(level[-1]) > FLAT * float(array.wavelength) * len(nodes) ** 0.5:
        return None
    normal: Tensor = axes[-1]
    return normal


def regular_grid(counts: Sequence[int], pixel: float, middle: Sequence[float], dtype: torch.dtype) -> PixelGrid:
    """A regular grid of counts[0] x counts[1] (x counts[2]) pixels around `middle` [m], as a batch of one.

    Raises:
        MemoryLimitError: if there is no memory for it.
    """
    n_pixels = math.prod(counts)
    require_memory(3 * dtype.itemsize * len(counts) * n_pixels, f"a grid of {n_pixels} pixels")
    axes = [(torch.arange(n, dtype=dtype) - (n - 1) / 2) * pixel + m for n, m in zip(counts, middle, strict=True)]
    mesh = torch.meshgrid(*reversed(axes), indexing="ij")
    centre = torch.stack([axis.reshape(-1) for axis in reversed(mesh)], dim=-1)
    return PixelGrid(centre=centre[None], pixel=torch.full((1,), pixel, dtype=dtype))


def distances(nodes: Tensor, points: Tensor) -> Tensor:
    """Distance of every node [..., n, D] to every point [..., P, D]: [..., n, P], [m]."""
    # a loop over the coordinates: with the coordinates innermost in memory the sum is several times slower
    squares = [(nodes[..., :, None, axis] - points[..., None, :, axis]).square() for axis in range(nodes.shape[-1])]
    return sum(squares[1:], squares[0]).sqrt()


def unit_vectors(nodes: Tensor, points: Tensor) -> Tensor:
    """Unit vectors from every node [B, n, D] to every point [B, P, D]: [B, D, n, P].

    They are the gradient of `distances` over the point.
    """
    # contiguous: with the coordinates innermost in memory every product that follows is several times slower
    difference = points.mT.contiguous()[:, :, None, :] - nodes.mT.contiguous()[:, :, :, None]
    return difference / difference.square().sum(1, keepdim=True).sqrt()


def draw_nodes(
    n_nodes: int, dimension: int, inner: float, outer: float, batch: int, generator: torch.Generator
) -> Tensor:
    """Draw nodes on a ring (D = 2) or a shell (D = 3): direction uniform, radius uniform in [inner, outer] [m].

    Returns positions [batch, n_nodes, dimension] in float64, [m].
    """
    direction = torch.randn(batch, n_nodes, dimension, dtype=torch.float64, generator=generator)
    direction = direction / direction.norm(dim=-1, keepdim=True)
    radius = torch.rand(batch, n_nodes, 1, dtype=torch.float64, generator=generator)
    return direction * (inner + (outer - inner) * radius)


def draw_nodes_in_room(
    n_nodes: int, room: Sequence[float], region: Sequence[float], batch: int, generator: torch.Generator
) -> Tensor:
    """Draw nodes uniformly in a room, outside the region in its middle.

    Args:
        n_nodes: number of nodes.
        room: sides of the room along the D coordinates, [m].
        region: sides of the region, [m]; no node lies in it.
        batch: number of scenes.
        generator: source of randomness.

    Returns:
        Positions [batch, n_nodes, D] in float64, [m]; the middle of the room is at zero.
    """
    sides, half = torch.tensor(room, dtype=torch.float64), torch.tensor(region, dtype=torch.float64) / 2
    position = torch.zeros(batch, n_nodes, len(sides), dtype=torch.float64)
    inside = torch.ones(batch, n_nodes, dtype=torch.bool)
    while inside.any():
        share = torch.rand(int(inside.sum()), len(sides), dtype=torch.float64, generator=generator)
        position[inside] = (share - 0.5) * sides
        inside = (position.abs() <= half).all(-1)
    return position
