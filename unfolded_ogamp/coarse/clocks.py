"""Coarse synchronisation over the line of sight, Section III-A of the paper: from the CSI of a band to node phases."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.coarse.delay_profile import GateSettings, earliest_arrival
from unfolded_ogamp.inference.node_phases import compensated, fisher_scoring, fit_delays, fit_phases
from unfolded_ogamp.physics import SPEED_OF_LIGHT, Csi, NodeArray, distances, unit_phasor
from unfolded_ogamp.records import Record
from unfolded_ogamp.settings import Settings, at_least

UNEVEN = 1e-3  # share of the spacing by which subcarriers may deviate from uniform spacing, rounding aside


@dataclass(frozen=True)
class CoarseSettings(Settings):
    """Settings of the coarse synchronisation.

    Attributes:
        gate: around the line of sight in the delay profile of a link.
        steps: scoring steps on the delays and phases of all nodes.
    """

    gate: GateSettings = field(default_factory=GateSettings)
    steps: Annotated[int, at_least(0)] = 3


@dataclass(frozen=True)
class NodeClocks(Record):
    """Clocks of the nodes, up to a delay common to all nodes and a phase common to those that lines of sight connect.

    Without a line of sight the phase of a node is unknown, and set to zero; its delay comes from scattered paths.

    Attributes:
        tx_delay, rx_delay: clock offsets modulo a symbol [B, n_tx], [B, n_rx], [s].
        tx_phase, rx_phase: phases at `frequency` [B, n_tx], [B, n_rx], [rad].
        frequency: the subcarrier in the middle of the band [B], [Hz].
    """

    tx_delay: Tensor
    rx_delay: Tensor
    tx_phase: Tensor
    rx_phase: Tensor
    frequency: Tensor

    def phases_at(self, frequency: Tensor) -> tuple[Tensor, Tensor]:
        """Node phases (4)-(5) at subcarriers [B, K] of the band, [Hz]: [B, n_tx, K] and [B, n_rx, K], [rad]."""
        apart = 2 * math.pi * (frequency - self.frequency[:, None])[:, None]
        sides = ((self.tx_delay, self.tx_phase), (self.rx_delay, self.rx_phase))
        tx, rx = (apart * delay[..., None] + phase[..., None] for delay, phase in sides)
        return tx, rx


def synchronise(csi: Csi, array: NodeArray, settings: CoarseSettings) -> NodeClocks:
    """Clocks of all nodes from the line of sight in the CSI of a whole band, (19)-(23).

    Args:
        csi: CSI on K uniformly spaced subcarriers; links without a trusted line of sight contribute to delays only.
        array: nodes and subcarriers.
        settings: settings of the gate and of the fit.

    Raises:
        ValueError: if the subcarriers are fewer than three or not uniformly spaced, or no link of a scene has a trusted
            line of sight.
    """
    spacing = subcarrier_spacing(array.frequency)
    trusted = csi.los_trusted & csi.los & csi.link
    if not bool(trusted.any((1, 2)).all()):
        raise ValueError("coarse synchronisation needs links with a trusted line of sight, got none; set los")
    value = torch.where(csi.link[..., None], csi.value, 0)
    # powers of products must not leave the range of single precision
    scale = value.abs().amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(value.real.dtype).tiny)
    value, los = value / scale, torch.where(trusted[..., None], csi.los_channel, 0) / scale
    direction = torch.where(trusted[..., None], torch.sgn(csi.los_channel), free_path(array))

    # (20), whose angle is minus Phi by (8); from one subcarrier to the next it turns by the delays alone
    observed = earliest_arrival(value, spacing, settings.gate) * direction.conj()
    increment = (observed[..., 1:] * observed[..., :-1].conj()).sum(-1)
    delays = fit_delays(increment, trusted, csi.link)
    weight = los.abs().mean(-1)
    phases = fit_phases(compensated(observed, delays, 0 * delays).sum(-1) * weight, trusted)
    delays, phases = fisher_scoring(value * los.conj(), weight.square(), delays, phases, settings.steps)

    n_nodes = list(trusted.shape[1:])
    tx_delay, rx_delay = (delays / (2 * math.pi * spacing[:, None])).split(n_nodes, dim=1)
    tx_phase, rx_phase = phases.split(n_nodes, dim=1)
    middle = array.frequency[:, array.frequency.shape[1] // 2]
    return NodeClocks(tx_delay, rx_delay, tx_phase, rx_phase, middle)


def free_path(array: NodeArray) -> Tensor:
    """Phasor of the free path between Tx and Rx, blocked or not: [B, n_tx, n_rx, K]."""
    delay = distances(array.tx, array.rx)[..., None] / SPEED_OF_LIGHT
    return unit_phasor(array.frequency[:, None, None] * delay)


def subcarrier_spacing(frequency: Tensor) -> Tensor:
    """Spacing [B] of uniformly spaced subcarriers [B, K], [Hz].

    Raises:
        ValueError: if they are fewer than three or not uniformly spaced.
    """
    if frequency.shape[1] < 3:
        raise ValueError(f"coarse synchronisation needs at least 3 subcarriers, got {frequency.shape[1]}")
    spacing = (frequency[:, -1] - frequency[:, 0]) / (frequency.shape[1] - 1)
    uneven = (frequency.diff(dim=1) - spacing[:, None]).abs().amax(1)
    rounding = 2 * torch.finfo(frequency.dtype).eps * frequency.abs().amax(1)
    if bool((uneven > UNEVEN * spacing.abs() + rounding).any()) or bool((spacing <= 0).any()):
        raise ValueError("coarse synchronisation needs uniformly spaced, rising subcarriers, got others")
    return spacing
