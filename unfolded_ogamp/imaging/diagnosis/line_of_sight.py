"""Whether the phases of the links are those of lines of sight and nodes, and in which order of the nodes.

Node phases are fitted to the direction of the CSI relative to free space. They explain part of any CSI, more of it
where nodes are few. The share that counts is therefore the one above the largest share at shuffled positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.diagnosis.finding import Finding, Severity
from unfolded_ogamp.inference.node_phases import fit_phases
from unfolded_ogamp.physics import Csi, NodeArray, los_channel, phasor

SHUFFLES = 8
LARGEST_WEIGHT = 3.0  # of a link, over the median
MARGIN = 0.11  # of a mean cosine above that at shuffled positions; 0.085 is the largest of 331 scenes without a line
GAIN = 0.08  # of the mean cosine, by which another order has to fit better; all of 308 right scenes lose 0.15 or more
ALIKE = 0.05  # difference of mean cosines that are alike
LEAST_LINKS = 2.0  # per node
BLOCKED = 1.0  # log-likelihood
MOST = 0.85  # share of links with a line of sight from which all have one
ROUNDS = 4
MAD = 1.4826  # standard deviation over the median absolute deviation, of Gaussian numbers
LARGEST_SPREAD, LARGEST_LEVEL = 0.65, 0.5  # of the logarithm of amplitudes that follow free space
LEAST_LOSS, LEAST_NODES = 0.3, 6  # of the mean cosine to the predicted one; nodes on the smaller side
LARGEST_MISFIT = 3.0  # level of the CSI relative to free space that a file may have


@dataclass(frozen=True)
class PhaseFit:
    """Node phases fitted to lines of sight.

    Attributes:
        ratio: CSI over the line of sight, node phases removed; the mean over subcarriers, complex [n_tx, n_rx].
        tx, rx: node phases [n_tx], [n_rx], [rad].
        cosine: mean cosine of the phase of `ratio` over the links.
    """

    ratio: Tensor
    tx: Tensor
    rx: Tensor
    cosine: float


def fit_node_phases(value: Tensor, reference: Tensor, link: Tensor) -> PhaseFit:
    """Node phases that align CSI [n_tx, n_rx, K] with lines of sight [n_tx, n_rx, K] on links [n_tx, n_rx]."""
    weight = link_weights(value, reference, link)
    ratio = relative(value, reference)
    phases = fit_phases((torch.sgn(ratio) * weight)[None], link[None])[0]
    tx, rx = phases.split(list(link.shape))
    ratio = ratio * phasor(tx[:, None] - rx)
    total = (torch.sgn(ratio) * weight).sum() / weight.sum()
    return PhaseFit(ratio * torch.sgn(total).conj(), tx, rx, float(total.abs()))


def link_weights(value: Tensor, reference: Tensor, link: Tensor) -> Tensor:
    """Weights of links [n_tx, n_rx] by the amplitudes of CSI and line of sight; a few strong links do not decide."""
    weight = (value.abs().mean(-1) * reference.abs().mean(-1)).sqrt() * link
    return (weight / weight[link].median().clamp(min=torch.finfo(weight.dtype).tiny)).clamp(max=LARGEST_WEIGHT)


def relative(value: Tensor, reference: Tensor) -> Tensor:
    """CSI over the line of sight, in the least-squares sense over subcarriers: [n_tx, n_rx, K] to [n_tx, n_rx]."""
    energy = reference.abs().square().sum(-1)
    return (value * reference.conj()).sum(-1) / energy.clamp(min=torch.finfo(energy.dtype).tiny)


def by_chance(value: Tensor, reference: Tensor, link: Tensor) -> float:
    """Largest mean cosine of CSI at shuffled positions of the nodes, both [n_tx, n_rx, K]; the same at every call."""
    generator = torch.Generator().manual_seed(0)
    shuffled = []
    for _ in range(SHUFFLES):
        tx, rx = (torch.randperm(count, generator=generator) for count in link.shape)
        shuffled.append((value, reference[tx][:, rx], link))
    return float(cosines(shuffled).max())


def cosines(cases: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Mean cosines of the fits to (CSI, lines of sight, links), tensors of the same shapes as in `fit_node_phases`."""
    turn = torch.stack([torch.sgn(relative(*case[:2])) * link_weights(*case) for case in cases])
    link = torch.stack([case[2] for case in cases])
    tx, rx = fit_phases(turn, link).split(list(link.shape[1:]), dim=1)
    return (turn * phasor(tx[:, :, None] - rx[:, None])).sum((1, 2)).abs() / turn.abs().sum((1, 2))


def hidden_line_of_sight(csi: Csi, array: NodeArray) -> tuple[list[Finding], Csi]:
    """The finding that CSI without `los` contains the line of sight, and the CSI with these links marked."""
    reference = los_channel(array)[0]
    link = csi.link[0] & reference.isfinite().all(-1)  # no line of sight within a place
    if bool(csi.los.any()) or float(link.sum()) < LEAST_LINKS * sum(link.shape):
        return [], csi
    reference = torch.where(link[..., None], reference, 0)
    fit, chance = fit_node_phases(csi.value[0], reference, link), by_chance(csi.value[0], reference, link)
    if not fit.cosine > chance + MARGIN:
        return [], csi
    los, level = marked_links(fit.ratio, reference.abs().square().mean(-1).sqrt(), link)
    evidence = (
        f"node phases fitted to free space align the CSI with a mean cosine of {fit.cosine:.2f}, at shuffled positions "
        f"of at most {chance:.2f}, though los marks no link"
    )
    cure = f"Mark it in los; an estimate takes {int(los.sum())} of {int(csi.link.sum())} links to contain it meanwhile"
    if 1 / LARGEST_MISFIT < level < LARGEST_MISFIT:
        level = 1.0  # as for a file that marks its lines of sight
    marked = replace(csi, los=los[None], los_trusted=los[None], los_channel=los[None, ..., None] * (level * reference))
    return [Finding("unmarked line of sight", evidence, cure, Severity.DECISIVE)], marked


def marked_links(ratio: Tensor, amplitude: Tensor, link: Tensor) -> tuple[Tensor, float]:
    """The links that contain a line of sight, and its level relative to free space.

    A link counts as blocked if a scattered part alone is more probable by `BLOCKED` in the log-likelihood. If few are,
    chance explains them, and none is blocked.

    Args:
        ratio: CSI over the line of sight, node phases removed [n_tx, n_rx].
        amplitude: of the line of sight in free space [n_tx, n_rx].
        link: bool [n_tx, n_rx].
    """
    los, level = link, 1.0
    for _ in range(ROUNDS):
        level = float((ratio.real * amplitude)[los].sum() / amplitude[los].sum())
        scattered = (ratio - level).abs() * amplitude
        variance = float(scattered[los].square().median()) / math.log(2)
        gain = ((ratio.abs() * amplitude).square() - scattered.square()) / max(variance, 1e-300)
        los = link & (gain > -BLOCKED)
    return (link if float(los.sum()) > MOST * float(link.sum()) else los), level


def other_order(csi: Csi, array: NodeArray) -> list[Finding]:
    """The finding that trusted lines of sight fit in another convention, or that phases of links are random."""
    link = csi.los_trusted[0] & csi.los[0] & csi.link[0]
    if float(link.sum()) < LEAST_LINKS * sum(link.shape):
        return []
    value, reference = csi.value[0], csi.los_channel[0]
    fit = fit_node_phases(value, reference, link)
    own = fit.cosine
    if own + GAIN > 1:
        return []
    free = los_channel(array)[0]
    chance = by_chance(value, free, link)
    other = conventions(value, link)
    fits = cosines([(changed, free, moved) for changed, moved in other.values()])
    levels = dict(zip(other, fits.tolist(), strict=True))
    best = max(levels.values())
    if best < own + GAIN or best < chance + MARGIN:
        return random_phases(fit, chance, link)
    alike = [name for name, level in levels.items() if level > best - ALIKE]
    evidence = (
        f"the lines of sight fit with a mean cosine of {own:.2f} as the file is, and of {best:.2f} if "
        f"{' or '.join(alike)}"
    )
    if len(alike) > 1:
        evidence += ": the array is symmetric, and the CSI does not decide between them"
        return [Finding("order of nodes", evidence, "", Severity.DECISIVE)]
    return [Finding("order of nodes", evidence, "Change the file accordingly", Severity.DECISIVE)]


def random_phases(fit: PhaseFit, chance: float, link: Tensor) -> list[Finding]:
    """The finding that amplitudes follow free space and phases do not.

    Scattering changes the logarithm of the amplitude of a line of sight as much as its phase. The spread of amplitudes
    therefore predicts the mean cosine of phases that are right.
    """
    level = fit.ratio[link].abs().clamp(min=1e-300).log()
    spread = MAD * float((level - level.median()).abs().median())
    predicted = math.exp(-(spread**2) / 2)
    follows = spread < LARGEST_SPREAD and abs(float(level.median())) < LARGEST_LEVEL
    if not follows or min(link.shape) < LEAST_NODES or fit.cosine > min(chance + MARGIN / 2, predicted - LEAST_LOSS):
        return []
    evidence = (
        f"amplitudes agree with the lines of sight to {8.7 * spread:.1f} dB, which predicts a mean cosine of phases of "
        f"{predicted:.2f}, but node phases align them to {fit.cosine:.2f} only, as by chance ({chance:.2f})"
    )
    cure = "Most links have a phase of their own: measure all links within the coherence of the oscillators"
    return [Finding("random phases", evidence, cure, Severity.DECISIVE)]


def conventions(value: Tensor, link: Tensor) -> Mapping[str, tuple[Tensor, Tensor]]:
    """CSI [n_tx, n_rx, K] and links [n_tx, n_rx] after the usual mistakes are undone, by name."""
    n_tx, n_rx = link.shape
    found = {"csi is conjugated": (value.conj(), link)}
    if n_tx == n_rx:
        found["Tx and Rx are swapped"] = (value.transpose(0, 1), link.T)
        found["Tx and Rx are swapped and csi is conjugated"] = (value.transpose(0, 1).conj(), link.T)
    for side, axis, count in (("Tx", 0, n_tx), ("Rx", 1, n_rx)):
        found[f"the list of {side} is reversed"] = (value.flip(axis), link.flip(axis))
        for shift in {1, -1} if count > 2 else set():
            name = f"the list of {side} starts one node {'later' if shift < 0 else 'earlier'}"
            found[name] = (value.roll(shift, axis), link.roll(shift, axis))
    return found
