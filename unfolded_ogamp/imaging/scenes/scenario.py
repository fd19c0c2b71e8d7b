"""Scenarios: what is drawn when scenes are simulated. The defaults are the "paper" scenario."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

PHASE_MODELS = ("residual", "uniform", "blocked", "clocks")


@dataclass(frozen=True)
class Scenario:
    """Everything that determines the distribution of a scene.

    Attributes:
        name: by which results are reported.
        n_tx, n_rx: numbers of nodes.
        pixels: number of pixels along each axis; their number is the dimension D, 2 or 3.
        pixel: side of a pixel, [m].
        node_radius: smallest and largest distance of a node from the centre of the region of interest, in multiples of
            its longest side; nodes stay outside the region.
        carrier_frequency: frequency of the first subcarrier and of the path loss (3), [Hz].
        n_subcarriers: number of subcarriers K.
        subcarrier_spacing: [Hz].
        sparsity: share of the pixels that hold a scatterer, eta of (15).
        off_grid: scatterers are uniform in their pixel; if False, at its centre.
        reflectivity_std: reflectivities are 1 - |N(0, reflectivity_std^2)|.
        reflectivity_spread: range of strengths, [dB]: reflectivities are then weaker by a uniform draw from 0 to this,
            and complex with a uniform phase; 0 for neither.
        snr_db: mean power of the scattered part over the noise variance, per scene, [dB].
        phase_model: "residual", node phases N(0, phase_std^2 / 2); "uniform", no synchronisation at all; "blocked",
            a share of the nodes uniform and the others residual; the phase of a node is then the same on all
            subcarriers. "clocks", clock offsets uniform in a symbol and uniform oscillator phases, (4)-(5).
        phase_std: standard deviation sigma_phi of a link phase between residual nodes, [rad].
        blocked_share: share of all nodes that "blocked" leaves without synchronisation.
        missing_links: share of the links that are never measured; what is left is one connected network.
        los: the CSI contains the line of sight, of all links but the blocked ones.
        blocked_los: share of the links whose line of sight is blocked.
        bandwidth: band over which the CSI is measured and coarsely synchronised, (19)-(23), before the subcarriers in
            its middle, the carrier and its neighbours above, are handed on, [Hz]; None measures on those alone.
        subtract_los: after coarse synchronisation the line of sight is subtracted as (29) does; what leaks stays in the
            CSI (erratum 6).
    """

    name: str = "paper"
    n_tx: int = 30
    n_rx: int = 30
    pixels: tuple[int, ...] = (25, 25)
    pixel: float = 0.2
    node_radius: tuple[float, float] = (0.75, 1.25)
    carrier_frequency: float = 1e9
    n_subcarriers: int = 2
    subcarrier_spacing: float = 120e3
    sparsity: float = 0.03
    off_grid: bool = True
    reflectivity_std: float = 0.1
    reflectivity_spread: float = 0.0
    snr_db: float = 25.0
    phase_model: str = "residual"
    phase_std: float = 0.2 * math.pi
    blocked_share: float = 0.3
    missing_links: float = 0.0
    los: bool = False
    blocked_los: float = 0.0
    bandwidth: float | None = None
    subtract_los: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", tuple(self.pixels))
        object.__setattr__(self, "node_radius", tuple(self.node_radius))
        for field in ("n_tx", "n_rx", "n_subcarriers"):
            _require(getattr(self, field) >= 1, f"{field} must be at least 1, got {getattr(self, field)}")
        for field in ("pixel", "carrier_frequency", "subcarrier_spacing"):
            _require(getattr(self, field) > 0, f"{field} must be positive, got {getattr(self, field)}")
        for field in ("reflectivity_std", "reflectivity_spread", "phase_std"):
            _require(getattr(self, field) >= 0, f"{field} must not be negative, got {getattr(self, field)}")
        for field in ("sparsity", "blocked_share", "blocked_los"):
            _require(0 <= getattr(self, field) <= 1, f"{field} must lie in [0, 1], got {getattr(self, field)}")
        _require(math.isfinite(self.snr_db), f"snr_db must be finite, got {self.snr_db}")
        _require(
            len(self.pixels) in (2, 3) and min(self.pixels) >= 1,
            f"pixels must be 2 or 3 counts of at least 1, got {self.pixels}",
        )
        corner = math.hypot(*self.pixels) / (2 * max(self.pixels))
        _require(
            len(self.node_radius) == 2 and corner < self.node_radius[0] <= self.node_radius[1],
            f"node_radius must be (inner, outer) with {corner:.4g} < inner <= outer, got {self.node_radius}",
        )
        _require(
            self.phase_model in PHASE_MODELS,
            f"phase_model must be one of {', '.join(PHASE_MODELS)}, got {self.phase_model!r}",
        )
        _require(
            self.missing_links >= 0 and self.n_tx * self.n_rx - self.n_missing_links >= self.n_tx + self.n_rx - 1,
            f"missing_links must leave at least n_tx + n_rx - 1 = {self.n_tx + self.n_rx - 1} of the "
            f"{self.n_tx * self.n_rx} links, got {self.missing_links}",
        )
        _require(self.los or self.bandwidth is None, "bandwidth needs los, which synchronises over it, got los = False")
        _require(
            self.bandwidth is None or (math.isfinite(self.bandwidth) and self.n_band > 2 * self.n_subcarriers),
            f"bandwidth must hold more than twice the {self.n_subcarriers} subcarriers, got {self.bandwidth}",
        )
        _require(self.los or self.blocked_los == 0, f"blocked_los needs los, got blocked_los = {self.blocked_los}")
        _require(
            self.bandwidth is not None or self.phase_model != "clocks",
            'phase_model "clocks" needs a bandwidth to synchronise over, got None',
        )
        _require(
            self.bandwidth is not None or not self.subtract_los,
            "subtract_los needs a bandwidth to synchronise over, got None",
        )

    @property
    def dimension(self) -> int:
        """Number of spatial dimensions D."""
        return len(self.pixels)

    @property
    def side(self) -> float:
        """Longest side of the region of interest, [m]."""
        return max(self.pixels) * self.pixel

    @property
    def n_scatterers(self) -> int:
        """Number of scatterers S in every scene: `sparsity` of the pixels, at least one."""
        return max(1, round(self.sparsity * math.prod(self.pixels)))

    @property
    def n_band(self) -> int:
        """Number of subcarriers that are measured."""
        return self.n_subcarriers if self.bandwidth is None else round(self.bandwidth / self.subcarrier_spacing)

    @property
    def n_missing_links(self) -> int:
        """Number of links that are never measured."""
        return round(self.missing_links * self.n_tx * self.n_rx)

    def draw(self, generator: torch.Generator) -> Scenario:  # noqa: ARG002 (the call that a Mixture shares)
        """The scenario of the next batch: this one."""
        return self


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
