"""What coarse synchronisation leaves of the measurement of a band: a few subcarriers, and what is still wrong there."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.coarse import CoarseSettings, synchronise
from unfolded_ogamp.physics import Csi, Scene, link_phase, wrap


def coarsely_synchronised(scene: Scene, csi: Csi, n_subcarriers: int, subtract_los: bool) -> tuple[Scene, Csi]:
    """Scene and CSI on the middle of their band, with the phases that the line of sight shows taken out of both.

    In the middle of the band, delays that are still wrong turn the phases least (22).

    Args:
        scene, csi: on K uniformly spaced subcarriers.
        n_subcarriers: how many are handed on, from the middle one, K // 2, upwards.
        subtract_los: subtract the ideal line of sight (29); the CSI then counts as one without, although the phases
            that are left let some of it leak.
    """
    first = csi.value.shape[-1] // 2
    chosen = slice(first, first + n_subcarriers)
    array = replace(scene.array, frequency=scene.array.frequency[:, chosen])
    tx_phase, rx_phase = synchronise(csi, scene.array, CoarseSettings()).phases_at(array.frequency)
    phase = link_phase(tx_phase, rx_phase)
    value = csi.value[..., chosen] * torch.complex(phase.cos(), phase.sin())
    los, los_channel = csi.los, csi.los_channel[..., chosen]
    if subtract_los:
        value, los = value - los_channel * los[..., None], torch.zeros_like(los)
    tx_left, rx_left = without_common_phase(
        scene.tx_phase[..., chosen] - tx_phase, scene.rx_phase[..., chosen] - rx_phase, csi.los_trusted
    )
    left = replace(scene, array=array, tx_phase=tx_left, rx_phase=rx_left, los=los)
    trusted = csi.los_trusted & los
    return left, replace(csi, value=value, los=los, los_channel=los_channel, los_trusted=trusted)


def without_common_phase(tx_phase: Tensor, rx_phase: Tensor, los: Tensor) -> tuple[Tensor, Tensor]:
    """Node phases [B, n, K] [rad] without what they have in common, which no link shows, in [-pi, pi).

    It is taken from the nodes with a line of sight, los [B, n_tx, n_rx]: the others' phases are anything.
    """
    phase = torch.cat([tx_phase, rx_phase], dim=1)
    seen = torch.cat([los.any(2), los.any(1)], dim=1)[..., None]
    common = (torch.complex(phase.cos(), phase.sin()) * seen).sum(1, keepdim=True).angle()
    tx_left, rx_left = wrap(phase - common).split([tx_phase.shape[1], rx_phase.shape[1]], dim=1)
    return tx_left, rx_left
