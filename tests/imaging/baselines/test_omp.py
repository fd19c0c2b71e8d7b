"""Orthogonal matching pursuit: exact on its own dictionary, with the given false-alarm probability."""

from __future__ import annotations

import pytest
import torch
from baseline_problem import complex_noise, geometry, scattering

from unfolded_ogamp.imaging.baselines.points import Points
from unfolded_ogamp.operators.search_grid import fine_positions

pytest.importorskip("pylops", reason="the benchmark extra is not installed")

from unfolded_ogamp.imaging.baselines.omp import OrthogonalMatchingPursuit

ON_GRID = [30, 222, 418, 640, 815]


def test_scatterers_on_the_dictionary_are_exact():
    problem = geometry()
    pursuit = OrthogonalMatchingPursuit(spacing=0.25, false_alarm=1e-3)
    position = fine_positions(problem.grid, problem.array.wavelength, pursuit.spacing)
    points, observation = scattering(problem, position[0, ON_GRID])
    assert sorted(pursuit.pursue(position, problem, observation)) == ON_GRID
    image = pursuit.image(problem, observation, Points.at_pixel_centres(problem), search=True)
    order = torch.cdist(points.position[0], image.position[0]).argmin(1)
    torch.testing.assert_close(image.position[:, order], points.position, rtol=0, atol=1e-6)
    torch.testing.assert_close(image.reflectivity[:, order], points.reflectivity, rtol=1e-5, atol=0)


def test_scatterers_off_the_dictionary_are_found_by_recentring():
    problem = geometry()
    pursuit = OrthogonalMatchingPursuit(spacing=0.25, false_alarm=1e-3)
    position = fine_positions(problem.grid, problem.array.wavelength, pursuit.spacing)[0, ON_GRID]
    off = 0.02 * torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    points, observation = scattering(problem, position + off)
    observation = observation + 0.1 * complex_noise(observation, 3)
    image = Points.at_pixel_centres(problem)
    counts, errors = [], []
    for _ in range(4):
        image = pursuit.image(problem, observation, image, search=True)
        counts.append(image.position.shape[1])
        errors.append(float(torch.cdist(points.position[0], image.position[0]).amin(1).max()))
    assert counts[0] > counts[-1] == len(ON_GRID)  # the model error of the first round adds atoms
    assert errors[-1] < 0.001 < errors[0]


def test_noise_adds_atoms_with_the_false_alarm_probability():
    problem = geometry()
    pursuit = OrthogonalMatchingPursuit(false_alarm=0.2)
    position = fine_positions(problem.grid, problem.array.wavelength, 0.5)
    alarms = sum(len(pursuit.pursue(position, problem, complex_noise(problem.csi, seed))) > 0 for seed in range(60))
    assert 2 <= alarms <= 22  # at most 12 on average; fewer, because neighbouring positions have correlated noise


def test_settings_are_checked():
    with pytest.raises(ValueError, match="spacing must be positive, got 0"):
        OrthogonalMatchingPursuit(spacing=0)
    with pytest.raises(ValueError, match=r"false_alarm must lie in \(0, 1\], got 2"):
        OrthogonalMatchingPursuit(false_alarm=2)
