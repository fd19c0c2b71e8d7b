"""The genie against closed forms: Gaussian errors in the plane, Wald statistics, amplitudes in polar coordinates."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hand_made import make_scene

from unfolded_ogamp.bounds.fisher import inverse
from unfolded_ogamp.bounds.genie import DRAWS, detections
from unfolded_ogamp.bounds.imaging import fisher_information, gauge_directions, joint_bound


def with_covariance(covariance: torch.Tensor):
    """A bound of S scatterers in the plane with this covariance of coordinates and amplitudes [3 S, 3 S]."""
    n_scatterers = len(covariance) // 3
    bound = joint_bound(make_scene(n_scatterers=n_scatterers), 0)
    return replace(bound, image_covariance=covariance.double())


def margin(probability: float) -> float:
    return 4 * math.sqrt(probability * (1 - probability) / DRAWS)


@pytest.mark.parametrize("ratio", [0.7, 1.2, 2.0])
def test_circular_position_errors_stay_within_the_gate_as_rayleigh_says(ratio):
    found = detections(with_covariance(torch.tensor([1.0, 1.0, 1e-9]).diag()), torch.ones(1), ratio, 10.0)
    expected = 1 - math.exp(-(ratio**2) / 2)
    assert float(found.double().mean()) == pytest.approx(expected, abs=margin(expected))


@pytest.mark.parametrize("deviations", [-1.0, 0.0, 1.5])
def test_amplitude_passes_the_threshold_as_its_normal_error_says(deviations):
    """|x| is this many standard deviations above the amplitude whose Wald statistic is the threshold."""
    std, threshold = 0.1, 12.0
    amplitude = torch.tensor([std * (math.sqrt(2 * threshold) + deviations)]).double()
    found = detections(with_covariance(torch.tensor([1e-9, 1e-9, std**2]).diag()), amplitude, 1.0, threshold)
    expected = (1 + math.erf(deviations / math.sqrt(2))) / 2
    assert float(found.double().mean()) == pytest.approx(expected, abs=margin(expected))


def test_errors_of_two_scatterers_are_drawn_together():
    """Coordinates that move together are within the gate together; independent ones are not."""
    factor = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    amplitude = torch.ones(2).double()
    small = 1e-12 * torch.eye(6)
    together = detections(with_covariance(factor @ factor.T + small), amplitude, 1.2, 0.1)
    apart = detections(with_covariance(torch.tensor([1.0] * 4 + [1e-12] * 2).diag()), amplitude, 1.2, 0.1)
    assert torch.equal(together[:, 0], together[:, 1])
    expected = (1 - math.exp(-0.72)) ** 2
    assert float(apart.all(1).double().mean()) == pytest.approx(expected, abs=margin(expected))


def test_covariance_of_coordinates_and_amplitudes_is_that_of_polar_reflectivities():
    """The same from a Fisher matrix whose unknowns are |x| and arg x in place of the real and imaginary parts."""
    scene = make_scene(n_tx=8, n_rx=7)
    n_position, n_scatterers = 6, 3
    unit, size = scene.reflectivity[0] / scene.reflectivity[0].abs(), scene.reflectivity[0].abs()
    fisher = fisher_information(scene, 0)
    polar = torch.eye(len(fisher), dtype=torch.float64)
    real, imaginary = slice(6, 9), slice(9, 12)
    polar[real, real], polar[imaginary, real] = unit.real.diag(), unit.imag.diag()
    polar[real, imaginary], polar[imaginary, imaginary] = (-size * unit.imag).diag(), (size * unit.real).diag()
    gauge = torch.linalg.solve(polar, gauge_directions(scene, 0))
    expected = float(scene.noise_variance) * inverse(polar.T @ fisher @ polar, gauge)[:9, :9]
    bound = joint_bound(scene, 0)
    torch.testing.assert_close(bound.image_covariance, expected, rtol=1e-6, atol=1e-12)
    std = bound.image_covariance.diagonal()[:n_position].sqrt().reshape(n_scatterers, 2)
    torch.testing.assert_close(std, bound.position_std)


def test_nothing_is_found_where_the_csi_does_not_determine_the_scene():
    scene = make_scene(n_tx=2, n_rx=2, n_scatterers=6)
    found = detections(joint_bound(scene, 0), scene.reflectivity[0].abs(), 1.0, 1.0)
    assert found.shape == (DRAWS, 6)
    assert not found.any()


def test_without_scatterers_all_are_found():
    scene = make_scene(n_scatterers=0, los=True)
    assert detections(joint_bound(scene, 0), scene.reflectivity[0].abs(), 1.0, 1.0).all(1).all()
