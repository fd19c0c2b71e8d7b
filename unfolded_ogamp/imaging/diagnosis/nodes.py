"""Nodes whose phases fit their lines of sight only at the position of another node, or conjugated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.diagnosis.finding import Finding, Severity
from unfolded_ogamp.imaging.diagnosis.line_of_sight import fit_node_phases
from unfolded_ogamp.physics import Csi, NodeArray, los_channel, phasor

EVIDENCE = 15.0  # log-likelihood by which a change has to fit better; 8.6 is the largest of 339 right scenes
UNIQUE = 5.0  # log-likelihood by which the best change has to exceed the others that involve the same nodes
LEAST_LINKS = 6  # trusted lines of sight of a node, for a judgement of it
GOOD = 0.6  # least coherence after a change
LEAST_GAIN = 0.15  # least gain of coherence of either node of an exchange
MOST_CHANGES = 3
LARGEST_WEIGHT = 5.0  # of a link; a node far from the others may have weaker lines of sight than the median node


@dataclass(frozen=True)
class Coherence:
    """Coherence of the nodes of one side with their lines of sight, 0 to 1, their own phase free.

    Attributes:
        at: of every node at the position of every node of its side [n, n].
        conjugated: of every node if its CSI is conjugated [n].
        count: number of links [n].
        weight: log-likelihood of one link per unit of coherence: the concentration of phases as those of the median
            node have (Best and Fisher, 1981, after Mardia).
    """

    at: Tensor
    conjugated: Tensor
    count: Tensor
    weight: float

    def gain_of_exchange(self) -> Tensor:
        """Log-likelihood gained if two nodes change places [n, n]; zero where one of them does not fit then."""
        own = self.at.diagonal()
        gain = self.at - own[:, None]
        fits = (gain > LEAST_GAIN) & (self.at > GOOD) & (self.count >= LEAST_LINKS)[:, None]
        total = self.weight * self.count[:, None] * gain
        return torch.where(fits & fits.T, total + total.T, 0).triu(1)

    def gain_of_conjugation(self) -> Tensor:
        """Log-likelihood gained if the CSI of a node is conjugated [n]; zero where it does not fit then."""
        fits = (self.conjugated > GOOD) & (self.count >= LEAST_LINKS)
        return torch.where(fits, self.weight * self.count * (self.conjugated - self.at.diagonal()), 0)


def coherences(csi: Csi, array: NodeArray) -> tuple[Coherence, Coherence]:
    """Coherence of the Tx and of the Rx; the phases of the other side are those of the fit to all links."""
    link = csi.los_trusted[0] & csi.los[0] & csi.link[0]
    fit = fit_node_phases(csi.value[0], csi.los_channel[0], link)
    middle = csi.value.shape[-1] // 2
    value, reference = torch.sgn(csi.value[0][..., middle]), torch.sgn(los_channel(array)[0][..., middle])
    tx, rx = phasor(fit.tx), phasor(-fit.rx)
    return _coherence(value, reference, link, rx), _coherence(value.T, reference.T, link.T, tx)


def _coherence(value: Tensor, reference: Tensor, link: Tensor, other: Tensor) -> Coherence:
    """Coherence of the nodes on the first axis; `other` are the phasors of those on the second axis."""
    count = link.sum(1)
    share = 1 / count.clamp(min=1).to(value.real.dtype)
    turned = value * other * link
    at = (turned @ reference.conj().T).abs() * share[:, None]
    conjugated = (value.conj() * reference.conj() * other * link).sum(1).abs() * share
    median = float(at.diagonal().median())
    return Coherence(at, conjugated, count, min(median * (2 - median**2) / max(1 - median**2, 1e-3), LARGEST_WEIGHT))


def changed_nodes(csi: Csi, array: NodeArray) -> tuple[list[Finding], Csi, NodeArray]:
    """Findings on nodes that are exchanged or conjugated, and the inputs of a batch of one with it undone."""
    findings: list[Finding] = []
    for _ in range(MOST_CHANGES):
        best = max(_proposals(csi, array), key=lambda change: change.gain, default=None)
        if best is None or best.gain < EVIDENCE:
            break
        evidence = f"{best.name}: the coherence with their lines of sight rises {best.coherence}"
        cure = "Correct the file; an estimate undoes it meanwhile" if best.unique else ""
        findings.append(Finding("nodes that do not fit", evidence, cure, Severity.DECISIVE))
        if not best.unique:
            break
        csi, array = best.undo(csi, array)
    return findings, csi, array


@dataclass(frozen=True)
class _Change:
    name: str
    coherence: str
    gain: float
    unique: bool
    undo: Callable[[Csi, NodeArray], tuple[Csi, NodeArray]]


def _proposals(csi: Csi, array: NodeArray) -> list[_Change]:
    """The best exchange and the best conjugation on either side."""
    found = []
    for side, coherence in zip(("tx", "rx"), coherences(csi, array), strict=True):
        name, n_nodes = side.capitalize(), len(coherence.at)
        if n_nodes < 2:
            continue
        exchange, conjugation = coherence.gain_of_exchange(), coherence.gain_of_conjugation()
        gain, place = exchange.flatten().max(0)
        one, other = divmod(int(place), n_nodes)
        involved = exchange.clone()
        involved[one, other] = 0
        rest = torch.cat(
            [involved[[one, other]].flatten(), involved[:, [one, other]].flatten(), conjugation[[one, other]]]
        )
        own = coherence.at.diagonal()
        found.append(
            _Change(
                f"{name} {one} and {name} {other} are exchanged",
                f"from {own[one]:.2f} and {own[other]:.2f} to {coherence.at[one, other]:.2f} and "
                f"{coherence.at[other, one]:.2f}",
                float(gain),
                float(gain - rest.max()) > UNIQUE,
                _exchange(side, one, other),
            )
        )
        gain, index = conjugation.max(0)
        rest = torch.cat([exchange[index], exchange[:, index]])
        found.append(
            _Change(
                f"{name} {int(index)} is conjugated",
                f"from {own[index]:.2f} to {coherence.conjugated[index]:.2f}",
                float(gain),
                float(gain - rest.max()) > UNIQUE,
                _conjugation(side, int(index)),
            )
        )
    return found


def _exchange(side: str, one: int, other: int) -> Callable[[Csi, NodeArray], tuple[Csi, NodeArray]]:
    def undo(csi: Csi, array: NodeArray) -> tuple[Csi, NodeArray]:
        nodes = getattr(array, side)
        order = torch.arange(nodes.shape[1], device=nodes.device)
        order[one], order[other] = other, one
        moved = replace(array, tx=array.tx[:, order]) if side == "tx" else replace(array, rx=array.rx[:, order])
        los = csi.los_channel.index_select(1 if side == "tx" else 2, order)
        return replace(csi, los_channel=los), moved

    return undo


def _conjugation(side: str, index: int) -> Callable[[Csi, NodeArray], tuple[Csi, NodeArray]]:
    def undo(csi: Csi, array: NodeArray) -> tuple[Csi, NodeArray]:
        value = csi.value.clone()
        chosen = value[:, index] if side == "tx" else value[:, :, index]
        chosen.copy_(chosen.conj().resolve_conj())
        return replace(csi, value=value), array

    return undo
