"""Other ways to spread, and antenna gains: the same physics for simulation, operators and bounds, in plain loops."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unfolded_ogamp.operators.multistatic import MultistaticOperator, dictionary_scale
from unfolded_ogamp.physics import (
    SPEED_OF_LIGHT,
    NodeArray,
    amplitude,
    draw_nodes,
    los_channel,
    nlos_channel,
    propagation_gain,
)
from unfolded_ogamp.physics.waves import amplitude_rate


def random_array(exponent: float | None, gains: bool) -> tuple[NodeArray, Tensor]:
    """Two scenes of three Tx, two Rx and two frequencies, and four points in each."""
    generator = torch.Generator().manual_seed(5)
    array = NodeArray(
        tx=draw_nodes(3, 2, 3.0, 5.0, 2, generator),
        rx=draw_nodes(2, 2, 3.0, 5.0, 2, generator),
        frequency=torch.tensor([[1.0e9, 1.3e9], [0.8e9, 1.0e9]], dtype=torch.float64),
        carrier_frequency=torch.tensor([1.1e9, 0.9e9], dtype=torch.float64),
        loss_exponent=None if exponent is None else torch.full((2,), exponent, dtype=torch.float64),
        tx_gain=0.5 + torch.rand(2, 3, generator=generator, dtype=torch.float64) if gains else None,
        rx_gain=0.5 + torch.rand(2, 2, generator=generator, dtype=torch.float64) if gains else None,
    )
    return array, 2 * torch.rand(2, 4, 2, generator=generator, dtype=torch.float64) - 1


def wave(array: NodeArray, b: int, k: int, path: list[float], spread: list[float]) -> complex:
    """A wave on subcarrier k of scene b along `path` [m], weakened by every distance in `spread` on its own."""
    exponent = 1.0 if array.loss_exponent is None else float(array.loss_exponent[b])
    strength = SPEED_OF_LIGHT / float(array.carrier_frequency[b]) / (4 * math.pi)
    for distance in spread:
        strength /= distance**exponent
    turns = float(array.frequency[b, k]) * sum(path) / SPEED_OF_LIGHT
    return strength * cmath.exp(-2j * math.pi * turns)


def gain(array: NodeArray, b: int, i: int, j: int) -> float:
    tx = 1.0 if array.tx_gain is None else float(array.tx_gain[b, i])
    return tx * (1.0 if array.rx_gain is None else float(array.rx_gain[b, j]))


CASES = pytest.mark.parametrize(("exponent", "gains"), [(None, False), (0.5, False), (None, True), (0.5, True)])


@CASES
def test_channels_and_operator_are_those_of_plain_loops(exponent, gains):
    array, point = random_array(exponent, gains)
    scale = dictionary_scale(array, point, nearest=torch.zeros(2, dtype=torch.float64))
    operator = MultistaticOperator.at(array, point, scale)
    one_by_one = [operator.forward(column.expand(2, 1, -1)) for column in torch.eye(4, dtype=torch.complex128)]
    dictionary = torch.stack(one_by_one, -1) * scale[:, None, None, None, None]
    exact, direct = propagation_gain(array, point), los_channel(array)
    ones = torch.ones(2, 4, dtype=torch.complex128)
    for b, i, j, k in torch.cartesian_prod(*map(torch.arange, (2, 3, 2, 2))).tolist():
        links = []
        for p in range(4):
            path = [float((node - point[b, p]).norm()) for node in (array.tx[b, i], array.rx[b, j])]
            links.append(wave(array, b, k, path, path) * gain(array, b, i, j))
            assert exact[b, i, j, k, p] == pytest.approx(links[-1], rel=1e-10)
            assert dictionary[b, i, j, k, p] == pytest.approx(links[-1], rel=1e-10)
        assert nlos_channel(array, point, ones)[b, i, j, k] == pytest.approx(sum(links), rel=1e-10)
        path = [float((array.tx[b, i] - array.rx[b, j]).norm())]
        assert direct[b, i, j, k] == pytest.approx(wave(array, b, k, path, path) * gain(array, b, i, j), rel=1e-10)


@CASES
def test_scale_is_the_root_mean_square_of_the_dictionary(exponent, gains):
    array, point = random_array(exponent, gains)
    scale = dictionary_scale(array, point, nearest=torch.zeros(2, dtype=torch.float64))
    power = propagation_gain(array, point).abs().square().mean((1, 2, 3, 4))
    torch.testing.assert_close(scale, power.sqrt())


@CASES
def test_rate_is_the_derivative_of_the_logarithm(exponent, gains):
    array, _ = random_array(exponent, gains)
    distance = torch.linspace(0.5, 8, 12, dtype=torch.float64).reshape(1, 3, 4).expand(2, -1, -1)
    step = 1e-6
    ends = [amplitude(array, distance + sign * step, array.tx_gain).log() for sign in (1, -1)]
    torch.testing.assert_close(amplitude_rate(array, distance), (ends[0] - ends[1]) / (2 * step), rtol=1e-8, atol=0)


def test_an_exponent_of_one_is_the_spherical_wave():
    array, point = random_array(None, gains=True)
    explicit = replace(array, loss_exponent=torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(propagation_gain(explicit, point), propagation_gain(array, point), rtol=1e-14, atol=0)
