"""Synchronisation refinement: node phases from CSI and a reference channel, equations (24)-(28)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.coarse import align, laplacian, unit
from unfolded_ogamp.physics import link_phase
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class SynchronisationSettings:
    """Settings of the refinement.

    Attributes:
        method: "least_squares", the angle of every link and its unweighted projection on the node phases, (25)-(27) to
            the letter; "alignment", the maximum-likelihood fit (24) of the node phases themselves, by alternating
            between Tx and Rx: links weigh by their power and nothing is wrapped.
        alignment_iterations: alternations per refinement.
        per_frequency: a phase per node and frequency; else one phase per node for all frequencies.
        phase_step: share k_phi of the correction that is applied (28); between 1 and 2 it over-relaxes.
        momentum: share of the last move of the phases that is added to the next one; with over-relaxation it ends the
            crawl along images that are shifted while all node phases tilt.
    """

    method: str = "least_squares"
    alignment_iterations: int = 10
    per_frequency: bool = True
    phase_step: float = 0.3
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in ("least_squares", "alignment"):
            raise ValueError(f'method must be "least_squares" or "alignment", got "{self.method}"')
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


def correlation(csi: Tensor, reference: Tensor, link: Tensor, per_frequency: bool) -> Tensor:
    """y h^* of (25) on every link; its angle is minus Phi by (8) (erratum 2).

    Args:
        csi, reference: complex [B, n_tx, n_rx, K].
        link: weight of the links [B, n_tx, n_rx, 1].
        per_frequency: keep the frequencies apart instead of summing over them.

    Returns:
        [B, n_tx, n_rx, K], or [B, n_tx, n_rx, 1] where the frequencies share their phase.
    """
    product = csi * reference.conj() * link
    return product if per_frequency else product.sum(-1, keepdim=True)


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
    phase = link_phase(phases.tx, phases.rx)
    product = correlation(csi, reference, link, settings.per_frequency) * torch.complex(phase.cos(), phase.sin())
    if settings.method == "least_squares":
        d_tx, d_rx = project(-product.angle(), link)
    else:
        start_tx, start_rx = torch.ones_like(product[:, :, 0]), torch.ones_like(product[:, 0])
        tx, rx = align(product, start_tx, start_rx, settings.alignment_iterations)
        # deviations from the common phase of all nodes, which changes nothing but could wrap them
        common = unit(tx.sum(1, keepdim=True) + rx.sum(1, keepdim=True)).conj()
        d_tx, d_rx = (tx * common).angle(), (rx * common).angle()
    tx_move = phase_step * d_tx + momentum * phases.tx_move
    rx_move = phase_step * d_rx + momentum * phases.rx_move
    return NodePhases(wrap(phases.tx + tx_move), wrap(phases.rx + rx_move), tx_move, rx_move)


def wrap(phase: Tensor) -> Tensor:
    """The same phase in [-pi, pi)."""
    return torch.remainder(phase + math.pi, 2 * math.pi) - math.pi
