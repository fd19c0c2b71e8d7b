"""Values that are no measurement, and nodes, links and subcarriers whose power does not belong to the others.

Noise makes exact zeros and repeated values impossible. Power is judged by robust statistics. Echoes fade: in the model,
the power of links varies by 30 dB and that of nodes by 10 dB, so the limits are wide. Lines of sight fall with the
distance, and are compared with free space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.diagnosis.finding import (
    Finding,
    Severity,
    link_names,
    listed,
    node_names,
    subcarrier_names,
)
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, distances, los_channel

LEAST_NODES = 4  # of a side, for a median over its nodes
LEAST_PEERS = 6  # links of a node, for a judgement of its power, and of both nodes of a link
NODE_LIMIT, LINK_LIMIT, SUBCARRIER_LIMIT = 20.0, 26.0, 15.0  # [dB] above or below the others
SILENT, LEAST_SNR = 1.5, 12.0  # power of a node over the noise, and level of the others above the noise [dB]
CONSTANT = 0.9  # power of the mean over links, relative to the mean power, of a constant on all links
DECIBEL = 10 / math.log(10)
POLISH = 5  # rounds of median polish (Tukey, 1977)
LEAST_REPEATS = 3  # equal values that count as constant
MOST_LINKS = 0.5  # share of the links that single zeros may remove; with more, the file means something else by zero


@dataclass(frozen=True)
class Kept:
    """What is kept of the CSI of one scene.

    Attributes:
        link: bool [n_tx, n_rx].
        subcarrier: bool [K].
    """

    link: Tensor
    subcarrier: Tensor

    @classmethod
    def all_of(cls, csi: Csi) -> Kept:
        """All measured links and all subcarriers."""
        every = torch.ones(csi.value.shape[-1], dtype=torch.bool, device=csi.value.device)
        return cls(csi.link[0], every)

    def without_nodes(self, node: Tensor) -> Kept:
        """Without the links of nodes chosen by bool [n_tx + n_rx]."""
        tx, rx = node.split(list(self.link.shape))
        return replace(self, link=self.link & ~tx[:, None] & ~rx)


def without_links(csi: Csi, outlier: Tensor) -> Csi:
    """CSI without links [n_tx, n_rx]."""
    kept = csi.link & ~outlier
    return replace(
        csi,
        value=torch.where(kept[..., None], csi.value, 0),
        link=kept,
        los=csi.los & kept,
        los_trusted=csi.los_trusted & kept,
    )


def dead_parts(csi: Csi, kept: Kept) -> tuple[list[Finding], Kept]:
    """Subcarriers, nodes and links that are exactly zero or constant, and what is kept without them.

    Integers, as receivers give them, may repeat and be zero by chance. There only whole nodes and subcarriers count.
    """
    value, findings = csi.value[0], []
    dead = value == 0
    stuck = _null_or_constant(value, kept.link)
    if bool(stuck.any()) and not bool(stuck.all()):
        kept = replace(kept, subcarrier=kept.subcarrier & ~stuck)
        zero = bool((value[kept.link][:, stuck] == 0).all())
        what = "zero on all links" if zero else "the same value on all links"
        which = subcarrier_names(stuck)
        count = int(stuck.sum())
        evidence = f"{which} {'hold' if count > 1 else 'holds'} {what} ({count} of {len(stuck)} subcarriers)"
        findings.append(Finding("null subcarriers", evidence, f"Left out: {which}", Severity.DOUBT))

    node = _dead_nodes(value[..., kept.subcarrier], dead[..., kept.subcarrier], kept.link)
    if bool(node.any()) and bool(kept.without_nodes(node).link.any()):
        names = listed(node_names(node, len(value)))
        zero = bool((value[kept.link & ~kept.without_nodes(node).link][:, kept.subcarrier] == 0).all())
        what = "zero" if zero else "one constant value"
        kept = kept.without_nodes(node)
        evidence = f"the CSI of {names} is {what} on all links"
        findings.append(Finding("dead nodes", evidence, f"Left out: {names}", Severity.DOUBT))

    link = kept.link & dead[..., kept.subcarrier].any(-1)
    share = float(link.sum()) / max(int(kept.link.sum()), 1)
    if bool(link.any()) and not quantised(value[kept.link]):
        evidence = f"the CSI is exactly zero on {int(link.sum())} of {int(kept.link.sum())} links: "
        evidence += listed(link_names(link))
        never = bool(dead[..., kept.subcarrier].all(-1)[link].all()) and bool((kept.link & ~link).any())
        if share < MOST_LINKS or never:  # links without any value were not measured, however many they are
            kept = replace(kept, link=kept.link & ~link)
            cure, severity = "Left out: these links", Severity.DOUBT
        else:
            cure, severity = (
                "Mark what was never measured in link, or give the subcarriers that all links have",
                (Severity.DECISIVE),
            )
        findings.append(Finding("zero links", evidence, cure, severity))
    return findings, kept


def quantised(value: Tensor) -> bool:
    """Whether all real and imaginary parts [links, K] are multiples of the smallest one, as those of integers are."""
    parts = torch.view_as_real(value).abs().flatten()
    parts = parts[parts > 0]
    if len(parts) == 0:
        return True
    multiple = parts / parts.min()
    return bool((multiple - multiple.round()).abs().max() < 1e-6)


def _null_or_constant(value: Tensor, link: Tensor) -> Tensor:
    """Subcarriers [K] with one value on all links."""
    measured = value[link]
    same = (measured == measured[:1]).all(0)
    return same if len(measured) >= LEAST_REPEATS else (measured == 0).all(0)


def _dead_nodes(value: Tensor, dead: Tensor, link: Tensor) -> Tensor:
    """Nodes [n_tx + n_rx] whose links are all zero, or all have one value."""
    found = []
    for axis in (1, 0):
        count = link.sum(axis)
        zero = (dead.all(-1) | ~link).all(axis) & (count > 0)
        masked = torch.where(link[..., None], value.abs(), torch.nan)
        spread = masked.nan_to_num(nan=-torch.inf).amax(axis) - masked.nan_to_num(nan=torch.inf).amin(axis)
        same = (spread == 0).all(-1) & (count >= LEAST_REPEATS)
        found.append(zero | same)
    return torch.cat(found)


def outlying_power(csi: Csi, array: NodeArray, grid: PixelGrid, kept: Kept) -> tuple[list[Finding], Kept]:
    """Subcarriers and nodes of outlying power, and what is kept without them; a batch of one."""
    findings = []
    for test in (_subcarriers, _nodes):
        found, kept = test(csi, array, grid, kept)
        findings += found
    return findings, kept


def _subcarriers(csi: Csi, _array: NodeArray, _grid: PixelGrid, kept: Kept) -> tuple[list[Finding], Kept]:
    value = csi.value[0][kept.link]
    power = value.abs().square()
    level = DECIBEL * (power.median(0).values + 1e-300).log()
    others = level[kept.subcarrier].median()
    constant = value.mean(0).abs().square() > CONSTANT * power.mean(0)
    # a constant on most subcarriers belongs to the scene: a strong line of sight between nodes at one distance
    constant = constant & (int((constant & kept.subcarrier).sum()) * 2 < int(kept.subcarrier.sum()))
    found = kept.subcarrier & (((level - others).abs() > SUBCARRIER_LIMIT) | constant)
    if int(kept.subcarrier.sum()) < 3 or not bool(found.any()):
        return [], kept
    which = subcarrier_names(found)
    excess = float((level - others)[found][(level - others)[found].abs().argmax()])
    what = "a constant on all links" if bool(constant[found].all()) else "another power than the others"
    evidence = f"{which} {'hold' if int(found.sum()) > 1 else 'holds'} {what} ({excess:+.0f} dB)"
    finding = Finding("outlying subcarriers", evidence, f"Left out: {which}", Severity.DOUBT)
    return [finding], replace(kept, subcarrier=kept.subcarrier & ~found)


def _nodes(csi: Csi, array: NodeArray, grid: PixelGrid, kept: Kept) -> tuple[list[Finding], Kept]:
    n_tx, n_rx = kept.link.shape
    with_los = csi.los[0] & kept.link
    link = with_los if bool(with_los.any()) else kept.link
    level = link_level(csi, array, kept, subtract_los=bool(with_los.any()))
    _, *effects = polished(level, link)
    deviation = []
    for effect, nodes in zip(effects, (array.tx, array.rx), strict=True):
        if not bool(with_los.any()):  # echoes from anywhere in the region
            effect = effect - DECIBEL * distances(nodes, grid.centre)[0].square().reciprocal().mean(1).log()
        deviation.append(effect - effect.nanmedian())
    peers = (link.sum(1) >= LEAST_PEERS, link.sum(0) >= LEAST_PEERS)
    enough = [count >= LEAST_NODES for count in (n_tx, n_rx)]
    far = torch.cat(
        [(side.abs() > NODE_LIMIT) & some & both for side, some, both in zip(deviation, peers, enough, strict=True)]
    )
    # a scatterer next to a node makes it stronger, never weaker
    weak = torch.cat(deviation) < 0
    far = (far & (weak | ~_inside(array, grid))) | _silent(csi, kept, link)
    if not bool(far.any()) or int(far.sum()) * 2 > len(far):
        return [], kept
    names = listed(node_names(far, n_tx))
    levels = listed([f"{level:+.0f}" for level in torch.cat(deviation)[far].tolist()])
    evidence = f"the power of {names} differs from that of the other nodes by {levels} dB"
    finding = Finding("outlying nodes", evidence, f"Left out: {names}", Severity.DOUBT)
    return [finding], kept.without_nodes(far)


def _inside(array: NodeArray, grid: PixelGrid) -> Tensor:
    """Nodes [n_tx + n_rx] inside the region, where a scatterer may be next to them."""
    nodes, centre = torch.cat([array.tx, array.rx], dim=1)[0], grid.centre[0]
    return ((nodes > centre.amin(0) - grid.pixel) & (nodes < centre.amax(0) + grid.pixel)).all(1)


def _silent(csi: Csi, kept: Kept, link: Tensor) -> Tensor:
    """Nodes [n_tx + n_rx] that measure noise alone where the others measure far more."""
    none = torch.zeros(sum(link.shape), dtype=torch.bool, device=link.device)
    if csi.noise_variance is None:
        return none
    power = csi.value[0][..., kept.subcarrier].abs().square().mean(-1) * link / float(csi.noise_variance)
    sides = [power.sum(axis) / link.sum(axis).clamp(min=1) for axis in (1, 0)]
    found = []
    for side, axis in zip(sides, (1, 0), strict=True):
        samples = link.sum(axis) * int(kept.subcarrier.sum())
        quiet = side < 1 + (SILENT - 1) / (samples / 9).sqrt().clamp(min=1)
        loud = side.median() > 10 ** (LEAST_SNR / 10)
        found.append(quiet & loud & (link.sum(axis) >= 3) & (len(side) >= LEAST_NODES))
    return torch.cat(found)


def outlying_links(csi: Csi, array: NodeArray) -> tuple[list[Finding], Csi]:
    """The finding that links are far stronger than the others of their nodes, and the CSI without them."""
    kept = Kept.all_of(csi)
    levels = [link_level(csi, array, kept, subtract_los) for subtract_los in (False, True)]
    excess = torch.full_like(levels[0], -math.inf)
    los = csi.los[0] & kept.link
    for part in (los, kept.link & ~los):
        peers = min(int((part.sum(axis) >= LEAST_PEERS).sum()) for axis in (0, 1))
        if peers >= LEAST_PEERS:
            above = torch.minimum(*(polished(level, part)[0] for level in levels))
            excess = torch.where(part, above, excess)
    found = excess > LINK_LIMIT
    if not bool(found.any()):
        return [], csi
    evidence = f"{int(found.sum())} of {int(kept.link.sum())} links are up to {float(excess.max()):.0f} dB stronger"
    evidence += f" than the others of their nodes: {listed(link_names(found))}"
    return [Finding("outlying links", evidence, "Left out: these links", Severity.DOUBT)], without_links(csi, found)


def link_level(csi: Csi, array: NodeArray, kept: Kept, subtract_los: bool) -> Tensor:
    """Power of every link [n_tx, n_rx] over the kept subcarriers [dB], relative to the line of sight if asked."""
    level = DECIBEL * (csi.value[0][..., kept.subcarrier].abs().square().mean(-1) + 1e-300).log()
    if not subtract_los:
        return level
    known = csi.los[0][..., None] & (csi.los_channel[0] != 0)
    reference = torch.where(known, csi.los_channel[0], los_channel(array)[0])[..., kept.subcarrier]
    return level - DECIBEL * reference.abs().square().mean(-1).log()


def polished(level: Tensor, link: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Median polish of levels on links: the remainder [n_tx, n_rx], and the effects of Tx and Rx, NaN without links."""
    remainder = torch.where(link, level, math.nan)
    tx, rx = (torch.zeros(count, dtype=level.dtype, device=level.device) for count in link.shape)
    for _ in range(POLISH):
        median = remainder.nanmedian(1).values
        remainder, tx = remainder - median.nan_to_num()[:, None], tx + median
        median = remainder.nanmedian(0).values
        remainder, rx = remainder - median.nan_to_num(), rx + median
    return remainder.nan_to_num(nan=-math.inf), tx, rx
