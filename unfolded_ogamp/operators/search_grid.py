"""Search grids: positions finer than the pixels, and back-projection images on them.

`SearchGrid` stores its dictionary as real numbers in single precision. This precision is enough, because a peak is only
the starting point of a refinement. PyTorch computes a real matrix product of twice the size faster than a complex one.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unfolded_ogamp.memory import require_memory
from unfolded_ogamp.physics import SPEED_OF_LIGHT, NodeArray, PixelGrid, amplitude, distances, gain_constant, node_wave
from unfolded_ogamp.records import Record

LIST_BYTES = 256  # per position in a Python list


def fine_positions(pixels: PixelGrid, wavelength: Tensor, spacing: float) -> Tensor:
    """Uniformly spaced positions [B, Q, D] [m] in every pixel, at most `spacing` wavelengths apart along a coordinate.

    Raises:
        MemoryLimitError: if there is no memory for them.
    """
    pixel = pixels.pixel[:, None, None]
    exact, dimension = float(per_axis(pixels, wavelength, spacing).amax()), pixels.centre.shape[2]
    inside = math.prod([exact] * dimension)  # inf where a power would overflow
    n_bytes = inside * (LIST_BYTES + 2 * pixel.element_size() * pixels.centre.numel())
    n_positions = inside * pixels.centre.shape[1]
    purpose = f"{n_positions:.3g} positions to search, {exact:.3g} along every axis of a pixel,"
    require_memory(n_bytes, purpose, pixel.device)
    count = int(exact)
    axis = [(i - (count - 1) / 2) / count for i in range(count)]
    offset = torch.tensor(list(itertools.product(axis, repeat=dimension))).to(pixel)
    return (pixels.centre[:, :, None] + pixel[:, None] * offset).flatten(1, 2)


def per_axis(pixels: PixelGrid, wavelength: Tensor, spacing: float) -> Tensor:
    """Number of positions along a coordinate of a pixel [B]."""
    return (pixels.pixel / wavelength / spacing - 1e-6).ceil().clamp(min=1)


class Images(Protocol):
    """Images on the positions of a search grid."""

    def back_project(self, residual: Tensor) -> Tensor:
        """Normalised images a^H r / |a| of [B, n_tx, n_rx, K]: complex [B, Q]."""
        ...

    def channel(self, image: Tensor) -> Tensor:
        """The adjoint of `back_project`: [B, Q] -> [B, n_tx, n_rx, K]."""
        ...


@dataclass(frozen=True)
class SearchGrid(Record):
    """Search grid for scatterers, over paths from every Tx to every Rx.

    Attributes:
        position: [B, Q, D], [m].
        tx: path loss times cosine, then times sine of the phase delay 2 pi f d / c from every Tx, [B, K, 2 n_tx, Q].
        rx: the same from every Rx, [B, K, 2 n_rx, Q].
        energy: |atom|^2 over the links [B, Q].
        count: number of positions of each scene by itself [B]; a batch with larger pixels has more.
    """

    position: Tensor
    tx: Tensor
    rx: Tensor
    energy: Tensor
    count: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, array: NodeArray, pixels: PixelGrid, link: Tensor, scale: Tensor, spacing: float) -> SearchGrid:
        """The search grid on `fine_positions` of the pixels.

        Args:
            array: nodes and frequencies.
            pixels: pixels of the region.
            link: 1.0 where the link is measured, else 0.0: [B, n_tx, n_rx, 1].
            scale: divisor of the atoms [B].
            spacing: largest distance between positions along a coordinate, in wavelengths.

        Raises:
            MemoryLimitError: if there is no memory for it.
        """
        position, n_frequencies = fine_positions(pixels, array.wavelength, spacing), array.frequency.shape[1]
        n_scenes, n_positions, dimension = position.shape
        n_tx, n_rx = link.shape[1:3]
        at_rest = n_scenes * (8 * n_frequencies * (n_tx + n_rx) + 12)
        while_filled = (
            20 * n_frequencies * max(n_tx, n_rx)
        )  # of one scene: angles in double, cosines in single precision
        n_bytes = float(n_positions) * (at_rest + while_filled)
        require_memory(n_bytes, f"a search grid of {n_scenes * n_positions} positions", position.device)
        tx, rx = (
            torch.empty(n_scenes, n_frequencies, 2 * count, n_positions, dtype=torch.float32, device=position.device)
            for count in (n_tx, n_rx)
        )
        energy = torch.cat(
            [
                _fill(tx[scene], rx[scene], array[scene], link[scene], scale[scene], position[scene])
                for scene in _one_by_one(position)
            ]
        )
        count = pixels.centre.shape[1] * per_axis(pixels, array.wavelength, spacing) ** dimension
        return cls(position, tx, rx, energy, count)

    def back_project(self, residual: Tensor) -> Tensor:
        """Normalised image a^H r / |a| of [B, n_tx, n_rx, K]: complex [B, Q]."""
        real, imaginary = (part.float().movedim(-1, 1) for part in (residual.real, residual.imag))
        # rows: real part, then imaginary part of residual times conj(rx), which has the sine with a plus sign
        matrix = torch.cat([torch.cat([real, -imaginary], dim=3), torch.cat([imaginary, real], dim=3)], dim=2)
        image = torch.cat([self._project(matrix, scene) for scene in _one_by_one(matrix)])
        return image * self.energy.rsqrt()

    def _project(self, matrix: Tensor, part: slice) -> Tensor:
        """Products with conj(rx), then sums of products with conj(tx), of some scenes: complex [B', Q]."""
        product = matrix[part] @ self.rx[part]
        n_tx = product.shape[2] // 2
        cosine, sine = self.tx[part].split(n_tx, dim=2)
        real, imaginary = product.split(n_tx, dim=2)
        return torch.complex(
            torch.addcmul(cosine * real, sine, imaginary, value=-1).sum((1, 2)),
            torch.addcmul(cosine * imaginary, sine, real).sum((1, 2)),
        )

    def weighted_energy(self, weight: Tensor) -> Tensor:
        """Sum of the weights [B, n_tx, n_rx, K] times |atom|^2 over links and subcarriers: [B, Q]."""
        tx, rx = (side.square().unflatten(2, (2, -1)).sum(2) for side in (self.tx, self.rx))
        return (tx * (weight.float().movedim(-1, 1) @ rx)).sum((1, 2))

    def channel(self, image: Tensor) -> Tensor:
        """The adjoint of `back_project`: [B, Q] -> [B, n_tx, n_rx, K]."""
        image = (image * self.energy.rsqrt())[:, None, None]
        n_tx, n_rx = self.tx.shape[2] // 2, self.rx.shape[2] // 2
        cosine, sine = self.tx.split(n_tx, dim=2)
        weighted = torch.cat([cosine * image.real + sine * image.imag, cosine * image.imag - sine * image.real], dim=2)
        product = weighted @ self.rx.mT
        real = product[:, :, :n_tx, :n_rx] + product[:, :, n_tx:, n_rx:]
        imaginary = product[:, :, n_tx:, :n_rx] - product[:, :, :n_tx, n_rx:]
        return torch.complex(real, imaginary).movedim(1, -1)


@dataclass(frozen=True)
class OneWaySearchGrid(Record):
    """Search grid for the unknown end of one-way paths: a source that the nodes receive, or a receiver of the nodes.

    Attributes:
        position: [B, Q, D], [m].
        wave: of every node at every position, zero where they coincide, complex [B, K, n, Q].
    """

    position: Tensor
    wave: Tensor

    @classmethod
    def of(cls, array: NodeArray, nodes: Tensor, gain: Tensor | None, position: Tensor) -> OneWaySearchGrid:
        """The waves of nodes [B, n, D] with antenna gains [B, n], or None for 1, at positions [B, Q, D], [m]."""
        wave = node_wave(array, distances(nodes, position), gain)
        return cls(position, torch.where(torch.isfinite(wave), wave, 0))

    def per_node(self, measured: Tensor) -> Tensor:
        """Normalised image a^H y / |a| of each node: complex [B, n, K] -> [B, n, Q]."""
        return self._correlation(measured) * self._energy().clamp(min=torch.finfo(measured.real.dtype).tiny).rsqrt()

    def coherent(self, measured: Tensor) -> Tensor:
        """Normalised image summed coherently over the nodes: complex [B, n, K] -> [B, Q]."""
        energy = self._energy().sum(1).clamp(min=torch.finfo(measured.real.dtype).tiny)
        return self._correlation(measured).sum(1) * energy.rsqrt()

    def power(self, measured: Tensor) -> Tensor:
        """Image power summed over the nodes, for unknown node phases: complex [B, n, K] -> real [B, Q]."""
        return self.per_node(measured).abs().square().sum(1)

    def _correlation(self, measured: Tensor) -> Tensor:
        """a^H y over the subcarriers [B, n, Q]."""
        return torch.einsum("bknq,bnk->bnq", self.wave.conj(), measured)

    def _energy(self) -> Tensor:
        """|a|^2 over the subcarriers [B, n, Q]."""
        return (self.wave.real.square() + self.wave.imag.square()).sum(1)


def _fill(tx: Tensor, rx: Tensor, array: NodeArray, link: Tensor, scale: Tensor, position: Tensor) -> Tensor:
    """Write the waves between the nodes and positions [B, Q, D] to `tx` and `rx`; returns |atom|^2 [B, Q]."""
    constant = (gain_constant(array) / scale).float()[:, None, None]
    from_tx, from_rx = array.sides
    tx_power = _write_waves(tx, array, *from_tx, position) * constant.square()
    rx_power = _write_waves(rx, array, *from_rx, position)
    tx.mul_(constant[:, None])
    energy = (tx_power * (link[..., 0].float() @ rx_power)).sum(1) * array.frequency.shape[1]
    echoes = torch.isfinite(energy) & (energy > 0)  # a position on a node is excluded
    if not echoes.all():
        for side in (tx, rx):
            side.nan_to_num_(0, 0, 0).mul_(echoes[:, None, None])
    return torch.where(echoes, energy, 1)


def _write_waves(out: Tensor, array: NodeArray, nodes: Tensor, gain: Tensor | None, position: Tensor) -> Tensor:
    """Write cos and sin of 2 pi f d / c times the amplitude to `out` [B, K, 2 n, Q]; returns its square [B, n, Q]."""
    distance = distances(nodes, position)
    turns = (array.frequency / SPEED_OF_LIGHT)[:, :, None, None] * distance[:, None]
    angle = turns.sub_(turns.round()).float().mul_(2 * torch.pi)
    level = amplitude(array, distance, gain).float()
    cosine, sine = out.unflatten(2, (2, -1)).unbind(2)
    torch.mul(angle.cos(), level[:, None], out=cosine)
    torch.mul(angle.sin_(), level[:, None], out=sine)
    return level.square()


def _one_by_one(batch: Tensor) -> list[slice]:
    """A slice for each scene of a batch [B, ...]: intermediate results of one scene fit into the processor cache."""
    return [slice(scene, scene + 1) for scene in range(len(batch))]
