"""The error of the off-grid model against exact propagation, and its scaling laws in the far field."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hand_made import make_scene

from unfolded_ogamp.bounds.off_grid import (
    expected_remainder,
    fourth_moment,
    gain_hessian,
    off_grid_scaling_law,
    off_grid_variance,
)
from unfolded_ogamp.physics import Scene, propagation_gain


def gain_gradient(scene: Scene, step: float = 1e-6) -> torch.Tensor:
    """Gradient of the gain by central differences: [B, n_tx, n_rx, K, S, D]."""
    moves = step * torch.eye(scene.position.shape[-1], dtype=torch.float64)
    ends = [[propagation_gain(scene.array, scene.position + sign * move) for sign in (1, -1)] for move in moves]
    return torch.stack([(after - before) / (2 * step) for after, before in ends], dim=-1)


def model_error(scene: Scene, offsets: torch.Tensor) -> torch.Tensor:
    """|error of the model (11)|^2 for offsets [draws, S, D], sum over scatterers and mean over the CSI: [draws]."""
    gain, gradient = propagation_gain(scene.array, scene.position), gain_gradient(scene)
    weight = scene.reflectivity.abs().square()
    errors = []
    for offset in offsets:
        linear = gain + (gradient * offset).sum(-1)
        error = propagation_gain(scene.array, scene.position + offset) - linear
        errors.append((error.abs().square() * weight).sum(-1).mean())
    return torch.stack(errors)


def scattered_power(scene: Scene) -> float:
    amplitude = propagation_gain(scene.array, scene.position) * scene.reflectivity
    return float(amplitude.abs().square().sum(-1).mean())


@pytest.mark.parametrize(("dimension", "exponent"), [(2, 1.0), (3, 1.0), (2, 0.5)])
def test_hessian_against_differences_of_the_gradient(dimension, exponent):
    scene = make_scene(dimension=dimension)
    array = replace(scene.array, loss_exponent=torch.full((1,), exponent, dtype=torch.float64))
    scene = replace(scene, array=array)
    step, columns = 1e-5, []
    for move in step * torch.eye(dimension, dtype=torch.float64):
        after, before = (gain_gradient(replace(scene, position=scene.position + sign * move)) for sign in (1, -1))
        columns.append((after - before) / (2 * step))
    hessian = gain_hessian(scene.array, scene.position)
    torch.testing.assert_close(hessian, torch.stack(columns, -1), rtol=0, atol=1e-5 * float(hessian.abs().max()))


@pytest.mark.parametrize("dimension", [2, 3])
def test_moments_of_a_uniform_offset_by_quadrature(dimension):
    """Three Gauss points per axis are exact for polynomials of fifth degree."""
    node, weight = np.polynomial.legendre.leggauss(3)
    part = torch.randn(2, dimension, dimension, generator=torch.Generator().manual_seed(0), dtype=torch.complex128)
    hessian, pixel, remainder, fourth = part + part.mT, 0.3, torch.zeros(2).double(), 0.0
    for index in product(range(3), repeat=dimension):
        offset = torch.tensor(node[list(index)] * pixel / 2, dtype=torch.complex128)
        share = float(np.prod(weight[list(index)] / 2))
        remainder += share * (offset @ hessian @ offset / 2).abs().square()
        fourth += share * float(offset.abs().square().sum()) ** 2
    torch.testing.assert_close(expected_remainder(hessian, pixel), remainder, rtol=1e-12, atol=0)
    assert fourth_moment(pixel, dimension) == pytest.approx(fourth, rel=1e-12)


@pytest.mark.parametrize("dimension", [2, 3])
def test_floor_is_the_error_of_the_model_in_small_pixels(dimension):
    """Monte-Carlo on exact propagation: its error is 1.5 %, and higher orders of the series are below 1 %."""
    scene = make_scene(seed=3, dimension=dimension)
    pixel = 0.05 * float(scene.array.wavelength)
    generator = torch.Generator().manual_seed(0)
    offsets = pixel * (torch.rand(2000, *scene.position.shape[1:], generator=generator, dtype=torch.float64) - 0.5)
    assert float(model_error(scene, offsets).mean()) == pytest.approx(off_grid_variance(scene, 0, pixel), rel=0.05)


def test_next_orders_are_of_second_order_in_the_pixel():
    """The relative error of the figure falls with the square of the pixel: to a fourth at half the pixel."""
    scene = make_scene(seed=3)
    node, weight = np.polynomial.legendre.leggauss(6)
    offset = torch.tensor([[x, y] for x in node for y in node], dtype=torch.float64)[:, None].expand(-1, 3, -1)
    share = torch.tensor(np.outer(weight, weight).reshape(-1) / 4)
    excess = []
    for pixel in (0.03, 0.06):
        exact = float(share @ model_error(scene, offset * pixel / 2))
        excess.append(off_grid_variance(scene, 0, pixel) / exact - 1)
    assert 0 < excess[0] < excess[1] < 0.1
    assert excess[1] / excess[0] == pytest.approx(4.0, rel=0.1)


def directions(dimension: int) -> torch.Tensor:
    """Directions whose moments up to the fourth are those of all directions: a heptagon, or an icosahedron."""
    if dimension == 2:
        angle = 2 * math.pi * torch.arange(7, dtype=torch.float64) / 7
        return torch.stack([angle.cos(), angle.sin()], dim=-1)
    golden = (1 + math.sqrt(5)) / 2
    corners = [(0.0, a, b * golden) for a in (1, -1) for b in (1, -1)]
    corners = [tuple(corner[(axis + turn) % 3] for axis in range(3)) for corner in corners for turn in range(3)]
    return torch.nn.functional.normalize(torch.tensor(corners, dtype=torch.float64), dim=-1)


def scene_amid_distant_nodes(dimension: int, carrier_frequency: float, n_subcarriers: int = 1) -> Scene:
    scene = make_scene(dimension=dimension, n_scatterers=1)
    nodes = 1e3 * directions(dimension)[None]
    frequency = carrier_frequency * torch.linspace(1.0, 1.01, n_subcarriers, dtype=torch.float64)[None]
    array = replace(scene.array, tx=nodes, rx=nodes, frequency=frequency, carrier_frequency=frequency[:, 0])
    link = torch.ones(1, nodes.shape[1], nodes.shape[1], dtype=torch.bool)
    return replace(scene, array=array, link=link, position=torch.zeros_like(scene.position))


@pytest.mark.parametrize("dimension", [2, 3])
def test_scaling_law_is_the_floor_amid_distant_nodes(dimension):
    low, high = (scene_amid_distant_nodes(dimension, frequency) for frequency in (1e9, 2e9))
    for scene in (low, high):
        assert off_grid_scaling_law(scene, 0, 0.01) == pytest.approx(off_grid_variance(scene, 0, 0.01), rel=1e-3)
    shares = [off_grid_variance(scene, 0, 0.01) / scattered_power(scene) for scene in (low, high)]
    assert shares[1] / shares[0] == pytest.approx(16.0, rel=1e-3)
    assert off_grid_variance(low, 0, 0.02) / off_grid_variance(low, 0, 0.01) == pytest.approx(16.0, rel=1e-9)


def test_constants_of_the_scaling_law():
    """9 / 16 (2 pi / lambda)^4 E |dp|^4 in the plane with E |dp|^4 = 7 / 180 pixel^4; 4 / 15 and 19 / 240 in space."""
    for dimension, constant, moment in ((2, 9 / 16, 7 / 180), (3, 4 / 15, 19 / 240)):
        scene = scene_amid_distant_nodes(dimension, 1e9)
        expected = constant * float(scene.array.wavenumber) ** 4 * moment * 0.01**4 * scattered_power(scene)
        assert off_grid_scaling_law(scene, 0, 0.01) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("figure", [off_grid_variance, off_grid_scaling_law])
def test_links_that_are_missing_do_not_count(figure):
    scene = make_scene(seed=3)
    scene.link[:, 0] = False
    without = replace(scene, array=replace(scene.array, tx=scene.array.tx[:, 1:]), link=scene.link[:, 1:])
    assert figure(scene, 0, 0.01) == pytest.approx(figure(without, 0, 0.01), rel=1e-12)


@pytest.mark.parametrize("figure", [off_grid_variance, off_grid_scaling_law])
def test_more_subcarriers_do_not_lower_the_error(figure):
    """(63) has a factor 1 / K; the mean over subcarriers in (62) has none."""
    one, many = (figure(scene_amid_distant_nodes(2, 1e9, n_subcarriers=count), 0, 0.01) for count in (1, 32))
    assert 1.0 < many / one < 1.05


def test_pixels_of_two_thirds_of_a_wavelength_leave_no_signal_to_the_model():
    """The paper's default: the error of the first order exceeds the signal and differs from the second-order figure."""
    scene = make_scene(seed=3)
    pixel = 2 / 3 * float(scene.array.wavelength)
    generator = torch.Generator().manual_seed(0)
    offsets = pixel * (torch.rand(500, *scene.position.shape[1:], generator=generator, dtype=torch.float64) - 0.5)
    exact = float(model_error(scene, offsets).mean())
    assert exact > 2 * scattered_power(scene)
    assert off_grid_variance(scene, 0, pixel) > 1.5 * exact
