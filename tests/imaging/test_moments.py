"""Moments of extended targets: the Taylor series of groups of points, their extent, and double scattering."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import pose_scene

from unfolded_ogamp.imaging import moments
from unfolded_ogamp.imaging.model import evaluate
from unfolded_ogamp.imaging.perturbations.targets import foldy_lax
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.selfcalibration.priors import with_moments
from unfolded_ogamp.operators.points import PointColumns
from unfolded_ogamp.physics import measure, nlos_channel

SCENARIO = Scenario(n_tx=7, n_rx=6, pixels=(6, 6), sparsity=0.06, node_radius=(80.0, 100.0), snr_db=60.0)


def pairs(apart: float):
    """Scenes of far nodes whose targets are two points each, `apart` wavelengths from one another along x."""
    scene = draw_scene(replace(SCENARIO), 1, torch.Generator().manual_seed(3))
    scene = replace(scene, tx_phase=0 * scene.tx_phase, rx_phase=0 * scene.rx_phase)
    aside = torch.tensor([apart / 2, 0.0], dtype=torch.float64) * scene.array.wavelength
    points = torch.cat([scene.position - aside, scene.position + aside], dim=1)
    channel = nlos_channel(scene.array, points, torch.cat([scene.reflectivity / 2] * 2, dim=1))
    return scene, channel


@pytest.mark.parametrize(("apart", "largest"), [(0.05, 1e-4), (0.2, 4e-3)])
def test_moments_are_the_series_of_a_pair_of_points(apart: float, largest: float) -> None:
    """cos(delta s_x) = 1 - (delta s_x)^2 / 2 + (delta s_x)^4 / 24, delta half the distance in the unit of a moment."""
    scene, channel = pairs(apart)
    _, _, problem, truth = pose_scene(scene, measure(scene, torch.Generator().manual_seed(0)))
    delta = apart / 2 / moments.UNIT
    moment = with_moments(truth).moment.clone()
    for number, axes in enumerate(moments.exponents(2)):
        if set(axes) == {0} and len(axes) % 2 == 0:
            order = len(axes)
            moment[..., number] = (-1) ** (order // 2) * delta**order / math.factorial(order)
    found = evaluate(replace(truth, moment=moment), problem).channel * problem.dictionary_scale
    error = (found - channel).abs().square().sum().sqrt() / channel.abs().square().sum().sqrt()
    points = evaluate(truth, problem).channel * problem.dictionary_scale
    of_points = (points - channel).abs().square().sum().sqrt() / channel.abs().square().sum().sqrt()
    assert float(error) < largest
    assert float(of_points) > 5 * float(error)
    extent = moments.extent(moment, truth.position, scene.array.wavelength)
    torch.testing.assert_close(extent, torch.full_like(extent, apart / 2) * scene.array.wavelength)


def test_points_have_no_extent() -> None:
    position = torch.zeros(2, 3, 2, dtype=torch.float64)
    none = torch.zeros(2, 3, 0, dtype=torch.complex128)
    assert not moments.extent(none, position, torch.ones(2)).any()


def test_double_echoes_are_the_first_order_of_multiple_scattering() -> None:
    """The second-order term of the Born series of weak points, with reflectivities tau."""
    scene = draw_scene(SCENARIO, 1, torch.Generator().manual_seed(4))
    position = torch.tensor([[[-0.3, 0.1], [0.4, -0.2], [0.0, 0.5]]], dtype=torch.float64)
    tau = 1e-3
    strength = tau * float(scene.array.wavenumber[0, 0])  # foldy_lax divides by j kappa
    full = foldy_lax(scene, position, strength)[..., :1]
    array = replace(scene.array, frequency=scene.array.frequency[:, :1])
    used = torch.ones(1, 3, dtype=torch.bool)
    columns = PointColumns.at(array, position, used, torch.ones(1, dtype=torch.float64))
    reflectivity = torch.full((1, 3), -1j * tau, dtype=torch.complex128)
    single = columns.channel(reflectivity)
    double = moments.double_echoes(array, columns, position, reflectivity) * array.wavenumber[:, :, None, None]
    torch.testing.assert_close(full - single, double, rtol=0, atol=5e-2 * float(double.abs().max()))
    assert float((full - single).abs().max()) > 0.5 * float(double.abs().max())
