"""Channel state information as the nodes measure it, equation (8) of the paper."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.physics.geometry import NodeArray
from unfolded_ogamp.physics.phases import link_phase, phasor
from unfolded_ogamp.physics.scene import Scene
from unfolded_ogamp.physics.waves import los_channel, nlos_channel
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Csi(Record):
    """Measured CSI of a batch of scenes: the input of an estimator besides the geometry.

    Attributes:
        value: complex [B, n_tx, n_rx, K]; zero where there is no link.
        link: links that were measured, bool [B, n_tx, n_rx].
        los: links whose CSI contains the line of sight, bool [B, n_tx, n_rx].
        los_channel: that line-of-sight channel, as measured or free space (9), complex [B, n_tx, n_rx, K].
        los_trusted: links whose line of sight may be used for coarse synchronisation, bool [B, n_tx, n_rx].
        noise_variance: variance of the complex noise [B], or None where it is not known.
        phases_known: scenes whose node phases are zero, bool [B]; None if all phases are unknown.
        phase_std: standard deviation of the node phases about zero [B, n_tx + n_rx], Tx first, [rad]; None if phases
            are unknown, or zero.
        node_std: standard deviation of every coordinate of the listed nodes [B, n_tx + n_rx], Tx first, [m]; None if
            it is not known.
        gain_std: standard deviation of the amplitude gains of the nodes [B], [dB]; None if it is not known.
    """

    value: Tensor
    link: Tensor
    los: Tensor
    los_channel: Tensor
    los_trusted: Tensor
    noise_variance: Tensor | None
    phases_known: Tensor | None = None
    phase_std: Tensor | None = None
    node_std: Tensor | None = None
    gain_std: Tensor | None = None


def noise_free_csi(scene: Scene) -> Tensor:
    """CSI (8) of a scene from its exact positions, without noise: complex [B, n_tx, n_rx, K]."""
    channel = nlos_channel(scene.array, scene.position, scene.reflectivity)
    channel = channel + los_channel(scene.array) * scene.los[..., None]
    turn = phasor(-link_phase(scene.tx_phase, scene.rx_phase))
    return channel * turn * scene.link[..., None]


def noise_variance_at(array: NodeArray, position: Tensor, reflectivity: Tensor, link: Tensor, snr_db: Tensor) -> Tensor:
    """Noise variance [B] that is `snr_db` [B] [dB] below the mean NLOS power over the existing links."""
    power = nlos_channel(array, position, reflectivity).abs().square() * link[..., None]
    count = link.sum((-2, -1)) * array.frequency.shape[-1]
    return power.sum((-3, -2, -1)) / count * 10 ** (-snr_db / 10)


def measure(scene: Scene, generator: torch.Generator) -> Csi:
    """CSI of a scene with circular complex Gaussian noise drawn from `generator`."""
    clean = noise_free_csi(scene)
    noise = torch.randn(*clean.shape, 2, dtype=torch.float64, generator=generator) / math.sqrt(2.0)
    noise = torch.view_as_complex(noise).to(clean) * scene.noise_variance.sqrt()[..., None, None, None]
    return Csi(
        value=clean + noise * scene.link[..., None],
        link=scene.link,
        los=scene.los,
        los_channel=los_channel(scene.assumed_array),
        los_trusted=scene.los,
        noise_variance=scene.noise_variance,
    )
