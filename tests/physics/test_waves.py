"""Waves of nodes for all loss exponents and antenna gains: plain loops, slopes, and the far field."""

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
    distances,
    draw_nodes,
    los_channel,
    nlos_channel,
    node_wave,
    propagation_gain,
    unit_vectors,
)
from unfolded_ogamp.physics.waves import amplitude_rate, expanded_steering, expanded_wave


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
    """A wave on subcarrier k of scene b along `path` [m], weakened by every distance in `spread` separately."""
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


@CASES
def test_a_line_of_sight_with_one_unknown_end_has_an_exact_slope(exponent, gains):
    array, point = random_array(exponent, gains)
    wave = expanded_wave(array, array.tx, array.tx_gain, point)
    torch.testing.assert_close(wave[:, :, :, 0], node_wave(array, distances(array.tx, point), array.tx_gain))
    for b, k, n, p in torch.cartesian_prod(*map(torch.arange, (2, 2, 3, 4))).tolist():
        distance = float((array.tx[b, n] - point[b, p]).norm())
        spread = (1.0 if exponent is None else exponent, 1.0 if array.tx_gain is None else float(array.tx_gain[b, n]))
        turns = float(array.frequency[b, k]) * distance / SPEED_OF_LIGHT
        expected = cmath.exp(-2j * math.pi * turns) / distance ** spread[0] * spread[1]
        assert wave[b, k, n, 0, p] == pytest.approx(expected, rel=1e-10)
    for axis in range(2):
        shift = 1e-6 * torch.eye(2, dtype=torch.float64)[axis]
        ahead, behind = (
            expanded_wave(array, array.tx, array.tx_gain, point + sign * shift)[:, :, :, 0] for sign in (1, -1)
        )
        torch.testing.assert_close(wave[:, :, :, 1 + axis], (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-7)


def test_unit_vectors_are_the_gradient_of_the_distance():
    array, point = random_array(None, gains=False)
    for axis in range(2):
        shift = 1e-6 * torch.eye(2, dtype=torch.float64)[axis]
        ahead, behind = (distances(array.rx, point + sign * shift) for sign in (1, -1))
        torch.testing.assert_close(
            unit_vectors(array.rx, point)[:, axis], (ahead - behind) / 2e-6, rtol=1e-7, atol=1e-9
        )


def directions_and_elements() -> tuple[Tensor, Tensor, Tensor]:
    """Two arrays of six elements, four unit vectors each, and three wavenumbers."""
    generator = torch.Generator().manual_seed(4)
    direction = draw_nodes(4, 3, 1.0, 1.0, 2, generator)
    element = 0.2 * torch.randn(2, 6, 3, dtype=torch.float64, generator=generator)
    return element, direction, torch.tensor([[20.0, 30.0, 40.0], [10.0, 15.0, 25.0]], dtype=torch.float64)


def test_steering_is_the_wave_of_a_distant_point_relative_to_that_at_the_origin():
    element, direction, wavenumber = directions_and_elements()
    steering = expanded_steering(element, direction, wavenumber)[:, :, :, 0]
    far = 1e6
    path = (far * direction[:, None] - element[:, :, None]).norm(dim=-1) - far
    expected = torch.exp(-1j * wavenumber[:, :, None, None] * path[:, None])
    torch.testing.assert_close(steering, expected, rtol=0, atol=1e-5)


def test_steering_of_a_planar_array_of_half_a_wavelength_has_a_closed_form():
    """exp(j pi (m v + n w)) of the direction cosines v, w along its axes."""
    _, direction, _ = directions_and_elements()
    index = torch.cartesian_prod(torch.arange(3.0), torch.arange(2.0)).double() - torch.tensor([1.0, 0.5]).double()
    element = torch.cat([torch.zeros(6, 1, dtype=torch.float64), index / 2], dim=1)[None].expand(2, -1, -1)
    steering = expanded_steering(element, direction, torch.full((2, 1), 2 * math.pi, dtype=torch.float64))
    cosines = direction[..., 1:]
    expected = torch.exp(1j * math.pi * torch.einsum("nm,bpm->bnp", index, cosines))
    torch.testing.assert_close(steering[:, 0, :, 0], expected)


def test_slope_of_the_steering_is_that_over_the_direction():
    element, direction, wavenumber = directions_and_elements()
    steering = expanded_steering(element, direction, wavenumber)
    for axis in range(3):
        shift = 1e-6 * torch.eye(3, dtype=torch.float64)[axis]
        ahead, behind = (
            expanded_steering(element, direction + sign * shift, wavenumber)[:, :, :, 0] for sign in (1, -1)
        )
        torch.testing.assert_close(steering[:, :, :, 1 + axis], (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-8)
