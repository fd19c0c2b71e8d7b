"""Free-space propagation over one scatterer and over the line of sight, equations (1)-(3), (9) of the paper."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.physics.geometry import SPEED_OF_LIGHT, NodeArray


def distances(nodes: Tensor, points: Tensor) -> Tensor:
    """Distance of every node [..., n, D] to every point [..., P, D]: [..., n, P], [m]."""
    # one coordinate after the other: with the coordinates innermost in memory this takes several times as long
    squares = [(nodes[..., :, None, axis] - points[..., None, :, axis]).square() for axis in range(nodes.shape[-1])]
    return sum(squares[1:], squares[0]).sqrt()


def unit_phasor(cycles: Tensor) -> Tensor:
    """exp(-j 2 pi cycles); whole cycles are dropped before the angle is taken."""
    angle = -2 * math.pi * (cycles - cycles.round())
    return torch.complex(angle.cos(), angle.sin())


def amplitude(array: NodeArray, distance: Tensor, gain: Tensor | None) -> Tensor:
    """What spreading over the distance to each point [..., n, P] [m] leaves of a wave, times the antenna gain [..., n].

    The constant of (3) is not in it: 1 / d for spherical waves, one over its root for cylindrical ones.
    """
    exponent = array.loss_exponent
    spread = distance.reciprocal() if exponent is None else distance.pow(-exponent[..., None, None].to(distance))
    return spread if gain is None else spread * gain[..., None].to(distance)


def amplitude_rate(array: NodeArray, distance: Tensor) -> Tensor:
    """Derivative of the logarithm of `amplitude` along the distance [..., n, P], [1/m]."""
    exponent = array.loss_exponent
    return -distance.reciprocal() if exponent is None else -exponent[..., None, None] / distance


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

    The gain (1) is a product of what happens before and after the scatterer: a matrix product sums over them, and no
    link holds its paths, of which a whole band has many.
    """
    before, after = (_half_path(array, nodes, gain, position) for nodes, gain in array.sides)
    weight = reflectivity * (array.wavelength / (4 * math.pi))[..., None]
    return ((before * weight[..., None, None, :]) @ after.mT).movedim(-3, -1)


def _half_path(array: NodeArray, nodes: Tensor, gain: Tensor | None, points: Tensor) -> Tensor:
    """Phase and `amplitude` between nodes [B, n, D] and points [B, P, D]: [B, K, n, P]."""
    distance = distances(nodes, points)
    turns = array.frequency[..., None, None] * distance[..., None, :, :] / SPEED_OF_LIGHT
    return unit_phasor(turns) * amplitude(array, distance, gain)[..., None, :, :]


def los_channel(array: NodeArray) -> Tensor:
    """Free-space line-of-sight channel (9) of every link, visible or not: [B, n_tx, n_rx, K]."""
    distance = distances(array.tx, array.rx)
    gain = amplitude(array, distance, array.tx_gain) * (array.wavelength / (4 * math.pi))[..., None, None]
    if array.rx_gain is not None:
        gain = gain * array.rx_gain[..., None, :]
    turns = array.frequency[..., None, None, :] * distance[..., None] / SPEED_OF_LIGHT
    return unit_phasor(turns) * gain[..., None]
