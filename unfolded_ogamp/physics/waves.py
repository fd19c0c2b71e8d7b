"""Free-space propagation: the wave of a node, over one scatterer and over the line of sight, (1)-(3), (9) of the paper.

The gain over a scatterer is a product of the wave between Tx and scatterer, that between scatterer and Rx, and a
constant. `node_wave` is either of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.physics.geometry import SPEED_OF_LIGHT, NodeArray, distances, unit_vectors
from unfolded_ogamp.physics.phases import phasor


def unit_phasor(cycles: Tensor) -> Tensor:
    """exp(-j 2 pi cycles); whole cycles are dropped before the angle is taken."""
    return phasor(-2 * math.pi * (cycles - cycles.round()))


def amplitude(array: NodeArray, distance: Tensor, gain: Tensor | None) -> Tensor:
    """Amplitude of a wave after the distance to each point [..., n, P] [m], times the antenna gain [..., n].

    The constant of (3) is not in it: 1 / d for spherical waves, one over its root for cylindrical ones.
    """
    exponent = array.loss_exponent
    spread = distance.reciprocal() if exponent is None else distance.pow(-exponent[..., None, None].to(distance))
    return spread if gain is None else spread * gain[..., None].to(distance)


def amplitude_rate(array: NodeArray, distance: Tensor) -> Tensor:
    """Derivative of the logarithm of `amplitude` along the distance [..., n, P], [1/m]."""
    exponent = array.loss_exponent
    return -distance.reciprocal() if exponent is None else -exponent[..., None, None] / distance


def gain_constant(array: NodeArray) -> Tensor:
    """The constant lambda_c / (4 pi) of the path loss (3): [B], [m]."""
    return array.wavelength / (4 * math.pi)


def node_wave(array: NodeArray, distance: Tensor, gain: Tensor | None) -> Tensor:
    """Wave a(d) exp(-j 2 pi f d / c) between nodes and points.

    Args:
        array: frequencies, and how waves spread.
        distance: between nodes and points [B, n, P], [m].
        gain: amplitude gains of the nodes [B, n], or None for 1.

    Returns:
        complex [B, K, n, P], without the constant of (3).
    """
    turns = array.frequency[:, :, None, None].to(distance) * (distance / SPEED_OF_LIGHT)[:, None]
    return unit_phasor(turns) * amplitude(array, distance, gain)[:, None]


def expanded_wave(array: NodeArray, nodes: Tensor, gain: Tensor | None, points: Tensor) -> Tensor:
    """`node_wave` and its exact gradient over the point, (-j kappa + a' / a) times the wave and the unit vector.

    This is a line of sight with one unknown end, and one side of a path over a scatterer.

    Args:
        array: frequencies, and how waves spread.
        nodes: [B, n, D], [m].
        gain: amplitude gains of the nodes [B, n], or None for 1.
        points: [B, P, D], [m].

    Returns:
        complex [B, K, n, 1 + D, P]: the wave, then its derivative along every coordinate, [1/m].
    """
    distance = distances(nodes, points)
    wave = node_wave(array, distance, gain)
    rate = -1j * array.wavenumber[:, :, None, None] + amplitude_rate(array, distance)[:, None]
    direction = unit_vectors(nodes, points).movedim(1, 2)[:, None]
    return torch.cat([wave[:, :, :, None], (wave * rate)[:, :, :, None] * direction], dim=3)


def expanded_steering(element: Tensor, direction: Tensor, wavenumber: Tensor) -> Tensor:
    """Far field of an array: phasors exp(j kappa u^T e) of plane waves at its elements, and their gradient over u.

    They are the waves of `node_wave` from a distant point, relative to that at the origin of the elements.

    Args:
        element: positions of the antennas [B, n, D], [m].
        direction: unit vectors u from the array to the sources [B, P, D].
        wavenumber: kappa [B, K], [rad/m].

    Returns:
        complex [B, K, n, 1 + D, P]: the phasor, then its derivative along every coordinate of u.
    """
    kappa = wavenumber[:, :, None, None]
    steering = phasor(kappa * (element @ direction.mT)[:, None])
    slope = 1j * kappa[..., None] * steering[:, :, :, None] * element[:, None, :, :, None]
    return torch.cat([steering[:, :, :, None], slope], dim=3)


def bistatic_delay(array: NodeArray, points: Tensor) -> Tensor:
    """Delay tau of (2): from each Tx over each point [B, P, D] to each Rx; [B, n_tx, n_rx, P], [s]."""
    path = distances(array.tx, points)[..., :, None, :] + distances(array.rx, points)[..., None, :, :]
    return path / SPEED_OF_LIGHT


def path_loss(array: NodeArray, points: Tensor) -> Tensor:
    """Amplitude attenuation L of (3), with alpha = 1 and the gains of the antennas: [B, n_tx, n_rx, P]."""
    tx, rx = (amplitude(array, distances(nodes, points), gain) for nodes, gain in array.sides)
    return 4 * math.pi / (tx[..., :, None, :] * rx[..., None, :, :] * array.wavelength[..., None, None, None])


def propagation_gain(array: NodeArray, points: Tensor) -> Tensor:
    """Channel gain a of (1) over each point [B, P, D] with unit reflectivity: [B, n_tx, n_rx, K, P]."""
    delay = bistatic_delay(array, points)[..., None, :]
    frequency = array.frequency[..., None, None, :, None]
    return unit_phasor(frequency * delay) / path_loss(array, points)[..., None, :]


def nlos_channel(array: NodeArray, position: Tensor, reflectivity: Tensor) -> Tensor:
    """The sum over scatterers in (8): positions [B, S, D] [m], reflectivity [B, S]; [B, n_tx, n_rx, K].

    A matrix product sums over the scatterers, so that the single paths of a link are never stored.
    """
    before, after = (node_wave(array, distances(nodes, position), gain) for nodes, gain in array.sides)
    weight = reflectivity * gain_constant(array)[..., None]
    return ((before * weight[..., None, None, :]) @ after.mT).movedim(-3, -1)


def los_channel(array: NodeArray) -> Tensor:
    """Free-space line-of-sight channel (9) of every link, visible or not: [B, n_tx, n_rx, K]."""
    distance = distances(array.tx, array.rx)
    gain = amplitude(array, distance, array.tx_gain) * gain_constant(array)[..., None, None]
    if array.rx_gain is not None:
        gain = gain * array.rx_gain[..., None, :]
    turns = array.frequency[..., None, None, :] * distance[..., None] / SPEED_OF_LIGHT
    return unit_phasor(turns) * gain[..., None]
