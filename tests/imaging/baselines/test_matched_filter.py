"""The matched filter: for a single scatterer it is the maximum-likelihood estimate."""

from __future__ import annotations

import pytest
import torch
from baseline_problem import geometry, scattering

from unfolded_ogamp.imaging.baselines.matched_filter import MatchedFilter, filtered
from unfolded_ogamp.imaging.baselines.points import Points

ALONE = torch.tensor([[0.137, -0.291]], dtype=torch.float64)


def test_power_at_a_single_scatterer_is_that_of_its_echo_and_the_largest():
    problem = geometry()
    points, observation = scattering(problem, ALONE)
    reflectivity, power = filtered(points.position, problem, observation)
    torch.testing.assert_close(reflectivity, points.reflectivity)
    torch.testing.assert_close(power[0, 0], observation.abs().square().sum())
    elsewhere = ALONE + 0.3 * torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert bool((filtered(elsewhere[None], problem, observation)[1] < power).all())


def test_peak_is_at_the_scatterer():
    problem = geometry()
    wavelength = float(problem.array.wavelength)
    points, observation = scattering(problem, ALONE)
    image, matched = Points.at_pixel_centres(problem), MatchedFilter()
    errors = []
    for search in (True, False, False, False, False):
        image = matched.image(problem, observation, image, search)
        strongest = image.reflectivity.abs().argmax()
        errors.append(float((image.position[0, strongest] - ALONE[0]).norm()) / wavelength)
    assert errors[0] < matched.spacing / 4
    assert errors[-1] < 0.002
    torch.testing.assert_close(image.reflectivity[0, strongest], points.reflectivity[0, 0], rtol=1e-2, atol=0)


def test_only_local_maxima_above_the_threshold_are_found():
    problem = geometry()
    _, observation = scattering(problem, torch.tensor([[-0.5, 0.4], [0.6, 0.1]], dtype=torch.float64))
    image = MatchedFilter(threshold=60.0).image(problem, observation, Points.at_pixel_centres(problem), search=True)
    assert image.position.shape[1] == 2
    none = MatchedFilter(threshold=1e6).image(problem, observation, Points.at_pixel_centres(problem), search=True)
    assert none.position.shape[1] == 0


def test_settings_are_checked():
    with pytest.raises(ValueError, match="threshold must be positive, got 0"):
        MatchedFilter(threshold=0)
