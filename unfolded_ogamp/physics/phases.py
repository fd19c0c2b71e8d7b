"""Phases of the nodes and of the links between them, equations (4)-(7) of the paper."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.physics.graph import reference_node


def clock_phase(time_offset: Tensor, oscillator_phase: Tensor, frequency: Tensor) -> Tensor:
    """Node phase of (4)-(5), 2 pi f dt + phi_LO.

    Args:
        time_offset: clock offset [B, n], [s].
        oscillator_phase: phase of the local oscillator [B, n], [rad].
        frequency: [B, K], [Hz].

    Returns:
        [B, n, K], [rad], whole turns of the clock term dropped.
    """
    turns = time_offset[..., None] * frequency[..., None, :]
    return 2 * math.pi * (turns - turns.floor()) + oscillator_phase[..., None]


def link_phase(tx_phase: Tensor, rx_phase: Tensor) -> Tensor:
    """Link phase Phi of (6) from node phases [B, n_tx, K] and [B, n_rx, K]: [B, n_tx, n_rx, K], [rad]."""
    return tx_phase[..., :, None, :] - rx_phase[..., None, :, :]


def phasor(phase: Tensor) -> Tensor:
    """exp(j phase) of a real tensor [rad]."""
    return torch.complex(phase.cos(), phase.sin())


def link_phasor(tx_phase: Tensor, rx_phase: Tensor) -> Tensor:
    """exp(j Phi) of every link [B, n_tx, n_rx, K]: the factor that removes the node phases from the CSI (8)."""
    return phasor(link_phase(tx_phase, rx_phase))


def wrap(phase: Tensor) -> Tensor:
    """The same phase in [-pi, pi), [rad]."""
    return torch.remainder(phase + math.pi, 2 * math.pi) - math.pi


def relative_to_reference(tx_phase: Tensor, rx_phase: Tensor, link: Tensor) -> tuple[Tensor, Tensor]:
    """Node phases with the reference of (7), the node with most links, at zero; no link phase changes.

    Args:
        tx_phase, rx_phase: [B, n_tx, K], [B, n_rx, K], [rad].
        link: which links exist, bool [B, n_tx, n_rx].

    Returns:
        The same shapes, [rad] in [-pi, pi).
    """
    phase = torch.cat([tx_phase, rx_phase], dim=1)
    reference = reference_node(link)[:, None, None].expand(-1, 1, phase.shape[2])
    phase = phase - phase.gather(1, reference)
    tx, rx = wrap(phase).split([tx_phase.shape[1], rx_phase.shape[1]], dim=1)
    return tx, rx


def link_phase_error(estimated: Tensor, true: Tensor, link: Tensor) -> Tensor:
    """Wrapped link phase error after the gauge is removed.

    The common phase of all nodes cancels in the link phase; with complex reflectivity one constant between all Tx and
    all Rx is unobservable as well, and is removed as the circular mean over links and frequencies.

    Args:
        estimated, true: link phases [B, n_tx, n_rx, K], [rad].
        link: the links that count, bool [B, n_tx, n_rx].

    Returns:
        [B, n_tx, n_rx, K], [rad] in (-pi, pi], zero where there is no link.
    """
    difference = estimated - true
    turn = phasor(difference) * link[..., None]
    turn = turn * turn.sum((-3, -2, -1), keepdim=True).conj()
    return torch.where(link[..., None], turn.angle(), torch.zeros_like(difference))


def draw_residual_phases(n_nodes: int, link_std: float, batch: int, generator: torch.Generator) -> Tensor:
    """Draw node phases N(0, link_std^2 / 2) [batch, n]: a link phase then has standard deviation `link_std` [rad]."""
    return torch.randn(batch, n_nodes, dtype=torch.float64, generator=generator) * (link_std / math.sqrt(2.0))


def draw_uniform_phases(n_nodes: int, batch: int, generator: torch.Generator) -> Tensor:
    """Draw node phases uniform in (-pi, pi]: no synchronisation at all; [batch, n], [rad]."""
    return math.pi - 2 * math.pi * torch.rand(batch, n_nodes, dtype=torch.float64, generator=generator)


def draw_time_offsets(n_nodes: int, subcarrier_spacing: float, batch: int, generator: torch.Generator) -> Tensor:
    """Draw clock offsets of (4)-(5), uniform in a symbol [0, 1 / subcarrier_spacing): [batch, n], [s]."""
    return torch.rand(batch, n_nodes, dtype=torch.float64, generator=generator) / subcarrier_spacing
