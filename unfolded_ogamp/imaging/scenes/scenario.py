"""Scenarios: the distributions of simulated scenes. The defaults are the "paper" scenario."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.physics import Csi, Scene
from unfolded_ogamp.settings import Check, Settings, at_least, not_negative, positive, require, within

counts = Check("be 2 or 3 counts of at least 1", lambda pixels: len(pixels) in (2, 3) and min(pixels) >= 1)


@dataclass(frozen=True)
class Scenario(Settings):
    """All parameters of the distribution of a scene.

    Attributes:
        name: name in results.
        n_tx, n_rx: numbers of nodes.
        pixels: number of pixels along each axis; the number of axes is the dimension D, 2 or 3.
        pixel: side of a pixel, [m].
        node_radius: smallest and largest distance of a node from the centre of the region of interest, in multiples of
            its longest side; nodes stay outside the region.
        room: sides of a room with the region in its middle, [m]: nodes are uniformly distributed in the room outside
            the region, whatever `node_radius`. None draws them around the region.
        carrier_frequency: frequency of the first subcarrier and of the path loss (3), [Hz].
        n_subcarriers: number of subcarriers K.
        subcarrier_spacing: [Hz].
        sparsity: share of the pixels that hold a scatterer, eta of (15).
        off_grid: scatterers are uniformly distributed in their pixel; if False, they are at its centre.
        reflectivity_std: reflectivities are 1 - |N(0, reflectivity_std^2)|.
        reflectivity_spread: range of strengths, [dB]: reflectivities are attenuated by a uniform draw from 0 to this,
            and get a uniform phase; 0 for neither.
        snr_db: mean power of the scattered part over the noise variance, per scene, [dB].
        phase_model: "residual", node phases N(0, phase_std^2 / 2); "uniform", no synchronisation at all; "blocked",
            a share of the nodes uniform and the others residual. In these three, all subcarriers share the phase of a
            node. "clocks", clock offsets uniform in a symbol and uniform oscillator phases, (4)-(5).
        phase_std: standard deviation sigma_phi of a link phase between residual nodes, [rad].
        blocked_share: share of the nodes without synchronisation in the "blocked" model.
        missing_links: share of the links that are never measured; the others form one connected network.
        los: the CSI contains the line of sight of all links except the blocked ones.
        blocked_los: share of the links whose line of sight is blocked.
        bandwidth: band of the measurement and of coarse synchronisation (19)-(23), [Hz]. The CSI then keeps the
            `n_subcarriers` from the middle of the band upwards. None measures on those only.
        subtract_los: subtract the line of sight after coarse synchronisation (29); its leakage stays in the CSI
            (erratum 6).
    """

    name: str = "paper"
    n_tx: Annotated[int, at_least(1)] = 30
    n_rx: Annotated[int, at_least(1)] = 30
    pixels: Annotated[tuple[int, ...], counts] = (25, 25)
    pixel: Annotated[float, positive] = 0.2
    node_radius: tuple[float, float] = (0.75, 1.25)
    room: tuple[float, ...] | None = None
    carrier_frequency: Annotated[float, positive] = 1e9
    n_subcarriers: Annotated[int, at_least(1)] = 2
    subcarrier_spacing: Annotated[float, positive] = 120e3
    sparsity: Annotated[float, within("[0, 1]")] = 0.03
    off_grid: bool = True
    reflectivity_std: Annotated[float, not_negative] = 0.1
    reflectivity_spread: Annotated[float, not_negative] = 0.0
    snr_db: float = 25.0
    phase_model: Literal["residual", "uniform", "blocked", "clocks"] = "residual"
    phase_std: Annotated[float, not_negative] = 0.2 * math.pi
    blocked_share: Annotated[float, within("[0, 1]")] = 0.3
    missing_links: Annotated[float, not_negative] = 0.0
    los: bool = False
    blocked_los: Annotated[float, within("[0, 1]")] = 0.0
    bandwidth: Annotated[float, positive] | None = None
    subtract_los: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        corner = math.hypot(*self.pixels) / (2 * max(self.pixels))
        inner, outer = self.node_radius
        outside = corner < inner <= outer
        require(outside, f"node_radius must be (inner, outer) with {corner:.4g} < inner <= outer, got {(inner, outer)}")
        larger = self.room is None or (
            len(self.room) == self.dimension and all(a > b for a, b in zip(self.room, self.region, strict=True))
        )
        require(larger, f"room must have sides above those of the region, {self.region} m, got {self.room}")
        n_links, least = self.n_tx * self.n_rx, self.n_tx + self.n_rx - 1
        require(
            n_links - self.n_missing_links >= least,
            f"missing_links must leave at least n_tx + n_rx - 1 = {least} of the {n_links} links, "
            f"got {self.missing_links}",
        )
        require(self.los or self.blocked_los == 0, f"blocked_los needs los, got blocked_los = {self.blocked_los}")
        if self.bandwidth is None:
            clocks = self.phase_model == "clocks"
            require(not clocks, 'phase_model "clocks" needs a bandwidth to synchronise over, got None')
            require(not self.subtract_los, "subtract_los needs a bandwidth to synchronise over, got None")
        else:
            require(self.los, "bandwidth needs los, which synchronises over it, got los = False")
            require(
                self.n_band > 2 * self.n_subcarriers,
                f"bandwidth must hold more than twice the {self.n_subcarriers} subcarriers, got {self.bandwidth}",
            )

    @property
    def dimension(self) -> int:
        """Number of spatial dimensions D."""
        return len(self.pixels)

    @property
    def region(self) -> tuple[float, ...]:
        """Sides of the region of interest, [m]."""
        return tuple(count * self.pixel for count in self.pixels)

    @property
    def side(self) -> float:
        """Longest side of the region of interest, [m]."""
        return max(self.region)

    @property
    def n_scatterers(self) -> int:
        """Number of scatterers S in every scene: `sparsity` times the number of pixels, at least one."""
        return max(1, round(self.sparsity * math.prod(self.pixels)))

    @property
    def n_band(self) -> int:
        """Number of measured subcarriers."""
        return self.n_subcarriers if self.bandwidth is None else round(self.bandwidth / self.subcarrier_spacing)

    @property
    def n_missing_links(self) -> int:
        """Number of links that are never measured."""
        return round(self.missing_links * self.n_tx * self.n_rx)

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Scene, Csi]:
        """Draw `batch` scenes with one noisy measurement each, in float64."""
        return draw(self, batch, generator)
