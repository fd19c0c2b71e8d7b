"""Synchronisation refinement: node phases from CSI and a reference channel, equations (24)-(28)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.inference.node_phases import align, fisher_scoring, normalized, subcarrier_offsets
from unfolded_ogamp.physics import laplacian, link_phasor, wrap
from unfolded_ogamp.records import Record

NODE_PHASES = ("per_frequency", "common", "with_delay")
SCORING_STEPS = 2


@dataclass(frozen=True)
class SynchronisationSettings:
    """Settings of the refinement.

    Attributes:
        method: "least_squares", the angle of every link and its unweighted projection on the node phases, (25)-(27) to
            the letter; "alignment", the maximum-likelihood fit (24) of the node phases themselves, by alternating
            between Tx and Rx: links weigh by their power and nothing is wrapped.
        alignment_iterations: alternations per refinement.
        node_phase: what a node has: "per_frequency", a phase on each; "common", one for all; "with_delay", a phase and
            a delay, for uniformly spaced frequencies and with "alignment" alone.
        phase_step: share k_phi of the correction that is applied (28); between 1 and 2 it over-relaxes.
        momentum: share of the last move of the phases that is added to the next one; with over-relaxation it ends the
            crawl along images that are shifted while all node phases tilt.
    """

    method: str = "least_squares"
    alignment_iterations: int = 10
    node_phase: str = "per_frequency"
    phase_step: float = 0.3
    momentum: float = 0.0

    def n_phases(self, n_frequencies: int) -> int:
        """K', the phases that a node has on K frequencies."""
        return 1 if self.node_phase == "common" else n_frequencies

    def __post_init__(self) -> None:
        if self.method not in ("least_squares", "alignment"):
            raise ValueError(f'method must be "least_squares" or "alignment", got "{self.method}"')
        if self.node_phase not in NODE_PHASES:
            raise ValueError(f"node_phase must be one of {', '.join(NODE_PHASES)}, got {self.node_phase!r}")
        if self.node_phase == "with_delay" and self.method != "alignment":
            raise ValueError(f'method must be "alignment" for node phases with a delay, got "{self.method}"')
        if self.alignment_iterations < 1:
            raise ValueError(f"alignment_iterations must be at least 1, got {self.alignment_iterations}")
        if not 0 < self.phase_step < 2:
            raise ValueError(f"phase_step must lie between 0 and 2, got {self.phase_step}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {self.momentum}")


@dataclass(frozen=True)
class NodePhases(Record):
    """Phases of the nodes and how they last moved, [rad]; K' is K, or 1 where the frequencies share them.

    Attributes:
        tx, rx: phases [B, n_tx, K'], [B, n_rx, K'].
        tx_move, rx_move: what the last refinement added to them.
    """

    tx: Tensor
    rx: Tensor
    tx_move: Tensor
    rx_move: Tensor

    @classmethod
    def zero(cls, like: Tensor, n_phases: int) -> NodePhases:
        """No phases and no move yet, for links like [B, n_tx, n_rx, 1]."""
        tx, rx = like.new_zeros(*like.shape[:2], n_phases), like.new_zeros(like.shape[0], like.shape[2], n_phases)
        return cls(tx, rx, torch.zeros_like(tx), torch.zeros_like(rx))


def correlation(csi: Tensor, reference: Tensor, link: Tensor) -> Tensor:
    """y h^* of (25) on every link; its angle is minus Phi by (8) (erratum 2).

    Args:
        csi, reference: complex [B, n_tx, n_rx, K].
        link: weight of the links [B, n_tx, n_rx, 1].
    """
    return csi * reference.conj() * link


def project(link_phases: Tensor, link: Tensor) -> tuple[Tensor, Tensor]:
    """Least-squares node phases (26) of link phases, with the mean node phase as gauge.

    The normal equations are the Laplacian of the network's graph; the common phase of all nodes, its null space, is
    held at zero, which changes no link phase (27).

    Args:
        link_phases: [B, n_tx, n_rx, K], [rad].
        link: 1.0 where there is a link [B, n_tx, n_rx, 1].

    Returns:
        Node phases [B, n_tx, K] and [B, n_rx, K], [rad].
    """
    n_tx = link.shape[1]
    matrix = laplacian(link[..., 0])
    masked = link_phases * link
    divergence = torch.cat([masked.sum(2), -masked.sum(1)], dim=1)
    nodes = torch.linalg.solve(matrix + 1.0 / matrix.shape[-1], divergence)
    return nodes[:, :n_tx], nodes[:, n_tx:]


def step(
    csi: Tensor,
    reference: Tensor,
    link: Tensor,
    phases: NodePhases,
    settings: SynchronisationSettings,
    phase_step: Tensor | float,
    momentum: Tensor | float,
) -> NodePhases:
    """One refinement (25)-(28) of the node phases.

    Args:
        csi: as measured, complex [B, n_tx, n_rx, K].
        reference: channel without phases, complex [B, n_tx, n_rx, K].
        link: weight of the links [B, n_tx, n_rx, 1].
        phases: node phases so far.
        settings: which fit.
        phase_step: share k_phi of the correction that is applied (erratum 3).
        momentum: share of the last move that is added.
    """
    product = correlation(csi, reference, link) * link_phasor(phases.tx, phases.rx)
    if settings.node_phase != "per_frequency":
        every, product = product, product.sum(-1, keepdim=True)
    if settings.method == "least_squares":
        d_tx, d_rx = project(-product.angle(), link)
    else:
        d_tx, d_rx = align_phases(product, settings.alignment_iterations)
    if settings.node_phase == "with_delay":
        power = reference.real.square() + reference.imag.square()
        d_tx, d_rx = with_delays(every, (power * link).mean(-1), d_tx, d_rx)
    tx_move = phase_step * d_tx + momentum * phases.tx_move
    rx_move = phase_step * d_rx + momentum * phases.rx_move
    return NodePhases(wrap(phases.tx + tx_move), wrap(phases.rx + rx_move), tx_move, rx_move)


def align_phases(correlation: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Node phases [B, n_tx, K], [B, n_rx, K] [rad] by `align` from zero, as deviations from the phase common to all.

    The common one changes nothing, but could wrap them.
    """
    tx, rx = align(correlation, torch.ones_like(correlation[:, :, 0]), torch.ones_like(correlation[:, 0]), iterations)
    common = normalized(tx.sum(1, keepdim=True) + rx.sum(1, keepdim=True)).conj()
    return (tx * common).angle(), (rx * common).angle()


def with_delays(correlation: Tensor, weight: Tensor, tx: Tensor, rx: Tensor) -> tuple[Tensor, Tensor]:
    """Node phases on every frequency [B, n_tx, K], [B, n_rx, K] [rad] of one phase and one delay per node.

    Args:
        correlation: y h^* [B, n_tx, n_rx, K], K uniformly spaced frequencies.
        weight: |h|^2 of the links [B, n_tx, n_rx].
        tx, rx: phases without delays [B, n_tx, 1], [B, n_rx, 1], [rad], from which the likelihood is climbed.
    """
    phases = torch.cat([tx, rx], dim=1)[..., 0]
    delays, phases = fisher_scoring(correlation, weight, torch.zeros_like(phases), phases, SCORING_STEPS)
    every = delays[..., None] * subcarrier_offsets(correlation) + phases[..., None]
    return every[:, : tx.shape[1]], every[:, tx.shape[1] :]
