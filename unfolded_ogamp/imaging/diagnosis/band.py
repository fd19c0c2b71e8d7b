"""What the subcarriers say together: which do not continue the others, in which order they are, and whose clock is off.

The power outside the delays that the geometry allows is at the level of the noise. If it is far above, the explanation
is the one that brings it down: to leave out a few subcarriers, another order, the opposite sign, or a delay per node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.diagnosis.delays import (
    centred,
    delay_window,
    forbidden,
    forbidden_share,
    inconsistent_subcarriers,
    power_outside,
)
from unfolded_ogamp.imaging.diagnosis.finding import Finding, Severity, subcarrier_names
from unfolded_ogamp.imaging.diagnosis.outliers import Kept
from unfolded_ogamp.inference.node_phases import fit_phases
from unfolded_ogamp.physics import SPEED_OF_LIGHT, Csi, NodeArray, PixelGrid

EXCESS = 3.0  # power outside over the noise from which it has to be explained
LEAST_SHARE, UNKNOWN_NOISE_SHARE = 1e-4, 1e-3  # of the power of the CSI that has to be explained, noise known or not
RATIO = 4.0  # by which an explanation has to lower the power outside
LARGEST_POWER = 10.0  # of a link, over the median
ALIKE = 2.0  # ratio of the powers outside of explanations that are alike


@dataclass(frozen=True)
class Band:
    """The order of the subcarriers and the clocks of one scene.

    Attributes:
        kept: links and subcarriers.
        order: index in the file of every subcarrier in the right order [K], or None if the order is right.
        clocks_apart: whether every node has a delay of its own.
    """

    kept: Kept
    order: Tensor | None = None
    clocks_apart: bool = False


def examine_band(csi: Csi, array: NodeArray, grid: PixelGrid, kept: Kept) -> tuple[list[Finding], Band]:
    """Findings about subcarriers, their order and clocks; a batch of one."""
    findings: list[Finding] = []
    misfit = _Misfit(csi, array, grid, kept)
    found = misfit.inconsistent()
    if bool(found.any()):
        without = misfit.without(found)
        if ALIKE * without < min([misfit.delays()[1], *misfit.orders().values()]):
            findings.append(_subcarrier_finding(found, misfit.own / without))
            kept = replace(kept, subcarrier=kept.subcarrier & ~found)
            misfit = _Misfit(csi, array, grid, kept)
    if not misfit.exceeds:
        return findings, Band(kept)
    explained = {name: level for name, level in misfit.orders().items() if misfit.own > RATIO * level}
    opposite = misfit.of(misfit.value.conj())
    if misfit.own > RATIO * opposite:
        explained["with the opposite sign of the exponent"] = opposite
    if explained:
        best = min(explained.values())
        alike = [name for name, level in explained.items() if level < ALIKE * best]
        sorts = len(alike) == 1 and alike[0] in misfit.orders() and bool(kept.subcarrier.all())
        order = orders_of(misfit.n_subcarriers)[alike[0]] if sorts else None
        return [*findings, _order_finding(misfit, alike, best)], Band(kept, order)
    apart = _clocks(misfit, csi)
    return [*findings, *apart], Band(kept, clocks_apart=bool(apart))


def orders_of(count: int) -> dict[str, Tensor]:
    """Orders in which subcarriers are often stored, by name: indices [K] that put them in ascending frequency."""
    natural = torch.arange(count)
    if count < 3:
        return {}
    found = {"in FFT order (fftshift sorts them)": torch.fft.fftshift(natural)}
    if count % 2:
        found["in the order of an inverse fftshift (fftshift twice, or ifftshift, sorts them)"] = torch.fft.ifftshift(
            natural
        )
    found["in descending order"] = natural.flip(0)
    return found


class _Misfit:
    """Power of the CSI outside the delays that the geometry allows, under explanations of it."""

    def __init__(self, csi: Csi, array: NodeArray, grid: PixelGrid, kept: Kept) -> None:
        self.frequency = array.frequency[0][kept.subcarrier]
        self.n_subcarriers = len(self.frequency)
        self.link, self.kept = kept.link, kept
        self.window = delay_window(replace(csi, link=kept.link[None]), array, grid)
        self.value = evened(csi.value[0][kept.link][:, kept.subcarrier])
        self.noise = csi.noise_variance
        share = forbidden_share(self.value, self.noise)
        self.projection = forbidden(self.frequency, self.window.width, share)
        self.power = float(self.value.abs().square().mean())
        self.own = self.of(self.value)

    @property
    def exceeds(self) -> bool:
        """Whether the power outside has to be explained."""
        if self.noise is None:
            return self.own > UNKNOWN_NOISE_SHARE * self.power
        return self.own > max(EXCESS * float(self.noise), LEAST_SHARE * self.power)  # false for NaN

    def centred(self, value: Tensor) -> Tensor:
        """CSI [links, K] relative to the middle of the window of each link."""
        return centred(value, self.frequency, self.window.middle[self.link])

    def of(self, value: Tensor) -> float:
        """Power outside of CSI [links, K]; NaN if every mode is allowed."""
        return power_outside(self.centred(value), self.projection)

    def orders(self) -> dict[str, float]:
        """Power outside in the usual other orders of the subcarriers, by name."""
        return {name: self.of(self.value[:, order]) for name, order in orders_of(self.n_subcarriers).items()}

    def inconsistent(self) -> Tensor:
        """Subcarriers [K] of the file that do not continue the others."""
        chosen = torch.zeros_like(self.kept.subcarrier)
        if self.exceeds:
            chosen[self.kept.subcarrier] = inconsistent_subcarriers(self.centred(self.value), self.projection, RATIO)
        return chosen

    def delays(self) -> tuple[Tensor, float]:
        """Delays of the links [links] [s] that are those of nodes, and the power outside with them."""
        value = self.centred(self.value)
        delay = node_delays(value, self.frequency, self.link)
        if delay is None:
            return torch.zeros(len(value)), math.inf
        tx, rx = delay.split(list(self.link.shape))
        late = (tx[:, None] - rx)[self.link]
        return late, power_outside(centred(value, self.frequency, late), self.projection)

    def without(self, found: Tensor) -> float:
        """Power outside without subcarriers [K] of the file."""
        left = ~found[self.kept.subcarrier]
        share = forbidden_share(self.value[:, left], self.noise)
        projection = forbidden(self.frequency[left], self.window.width, share)
        return power_outside(self.centred(self.value)[:, left], projection)


def evened(value: Tensor) -> Tensor:
    """CSI [links, K] with strong links scaled down, so that a few do not decide; noise is never scaled up."""
    power = value.abs().square().mean(1)
    largest = LARGEST_POWER * power.median()
    return value * (largest / power.clamp(min=1e-300)).clamp(max=1).sqrt()[:, None]


def _subcarrier_finding(found: Tensor, fall: float) -> Finding:
    """The finding that subcarriers [K] do not continue the others; without them the power outside falls by a factor."""
    which = subcarrier_names(found)
    evidence = (
        f"{which} {'do' if int(found.sum()) > 1 else 'does'} not continue the others over frequency: without, the part "
        f"of the CSI that no delay of the geometry explains falls by {_decibels(fall)} dB"
    )
    return Finding("outlying subcarriers", evidence, f"Left out: {which}", Severity.DOUBT)


def _order_finding(misfit: _Misfit, alike: list[str], best: float) -> Finding:
    """The finding that another order or sign explains the band."""
    evidence = f"the part of the CSI that no delay of the geometry explains falls by {_decibels(misfit.own / best)} dB "
    evidence += f"if the CSI is {' or '.join(alike)}"
    if len(alike) > 1:
        return Finding("order or sign", evidence, "", Severity.DECISIVE)
    if "sign" in alike[0]:
        return Finding("sign", evidence, "Take the complex conjugate of csi and los_channel", Severity.DECISIVE)
    return Finding(
        "order of subcarriers", evidence, "Sort csi in the file; an estimate sorts it meanwhile", Severity.DECISIVE
    )


def _clocks(misfit: _Misfit, csi: Csi) -> list[Finding]:
    """The finding that every node has a delay of its own, if that explains the band and no geometry does."""
    late, left = misfit.delays()
    if not misfit.own > RATIO * left or float(late.max() - late.min()) < misfit.window.width / 2:
        return []
    first, last = SPEED_OF_LIGHT * float(late.min()), SPEED_OF_LIGHT * float(late.max())
    evidence = (
        f"a delay per node, {first:.3g} to {last:.3g} m of path on the links, lowers the part of the CSI that no delay "
        f"of the geometry explains by {_decibels(misfit.own / left)} dB"
    )
    spacing = misfit.frequency.diff()
    uniform = len(spacing) > 1 and bool((spacing - spacing[0]).abs().max() < 1e-3 * spacing[0].abs())
    if uniform and bool((csi.los_trusted & csi.los).any()):
        cure = "synchronise=true synchronises the band over its line of sight; without it, one subcarrier is used"
    else:
        cure = "One subcarrier is used, as coarse synchronisation needs three uniformly spaced ones and a line of sight"
    return [Finding("clocks are apart", evidence, cure, Severity.DECISIVE)]


def node_delays(value: Tensor, frequency: Tensor, link: Tensor) -> Tensor | None:
    """Delays of the nodes [n_tx + n_rx] [s], Tx first, from the turn between neighbouring subcarriers.

    Args:
        value: CSI [links, K] relative to the delays of the geometry.
        frequency: [K], [Hz].
        link: bool [n_tx, n_rx].

    Returns:
        None if there are fewer than two different frequencies.
    """
    order = frequency.argsort()
    frequency, value = frequency[order], value[:, order]
    spacing = frequency.diff()
    if len(spacing) == 0 or not float(spacing.min()) > 0:
        return None
    closest = (spacing - spacing.min()).abs() < 1e-3 * spacing.min()
    turn = (value[:, 1:] * value[:, :-1].conj())[:, closest].sum(1)
    increment = torch.zeros(link.shape, dtype=value.dtype, device=value.device)
    increment[link] = turn / turn.abs().clamp(min=1e-300).sqrt()  # strong links do not decide alone
    phases = fit_phases(increment[None], link[None])[0]
    return phases / (2 * math.pi * float(spacing[closest].mean()))


def _decibels(ratio: float) -> str:
    return f"{10 * math.log10(max(ratio, 1e-300)):.0f}"
