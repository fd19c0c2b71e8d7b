"""Values that are no measurement: exact zeros and values that do not change. Noise makes both impossible."""

from __future__ import annotations

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
from unfolded_ogamp.physics import Csi

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
        if share < MOST_LINKS:
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
