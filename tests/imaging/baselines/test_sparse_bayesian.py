"""Sparse Bayesian learning: its posterior is that of dense algebra, its updates raise the evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from baseline_problem import SMALL, complex_noise, dense_columns, geometry, scattering

from unfolded_ogamp.imaging.baselines.points import Points, columns_at
from unfolded_ogamp.imaging.baselines.sparse_bayesian import SparseBayesian, best_shift, gather, posterior, update
from unfolded_ogamp.imaging.problem import Problem

HELD = [3, 27, 51, 88]


def noisy_scene(missing: float = 0.0) -> tuple[Problem, Points, torch.Tensor]:
    """A point at every pixel centre, and the noisy CSI of scatterers near four of them."""
    problem = geometry(replace(SMALL, missing_links=missing))
    centre = problem.grid.centre[0]
    off = 0.02 * torch.rand(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    _, csi = scattering(problem, centre[HELD] + off)
    return problem, Points.at_pixel_centres(problem), csi + 0.1 * complex_noise(csi, 2) * problem.link


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_posterior_is_that_of_dense_algebra(missing):
    problem, points, csi = noisy_scene(missing)
    points = points.keep(torch.arange(0, 100, 7))
    measured = (problem.link.expand_as(csi.real) > 0).flatten()
    matrix, y = dense_columns(points, problem)[measured], csi.flatten()[measured]
    variance = torch.linspace(0.1, 2.0, 15, dtype=torch.float64)
    noise = torch.tensor([0.3], dtype=torch.float64)
    result = posterior(gather(points, problem, csi), variance[None], noise)
    total = 0.3 * torch.eye(len(y), dtype=matrix.dtype) + (matrix * variance) @ matrix.mH
    whitened = torch.linalg.solve(total, y)
    evidence = -torch.linalg.slogdet(total).logabsdet - (y.conj() @ whitened).real
    covariance = torch.linalg.inv(torch.diag(1 / variance) + matrix.mH @ matrix / 0.3)
    torch.testing.assert_close(result.mean[0], variance * (matrix.mH @ whitened))
    torch.testing.assert_close(result.covariance[0], covariance)
    torch.testing.assert_close(result.log_evidence[0], evidence)
    torch.testing.assert_close(result.misfit[0], (y - matrix @ result.mean[0]).abs().square().sum())


def test_every_update_raises_the_evidence():
    problem, points, csi = noisy_scene()
    data = gather(points, problem, csi)
    variance, noise = torch.full((1, 100), 0.5, dtype=torch.float64), 0.5 * data.power / data.samples
    evidence = []
    for _ in range(60):
        result = posterior(data, variance, noise)
        evidence.append(float(result.log_evidence))
        variance, noise = update(data, result, variance, noise)
    steps = torch.tensor(evidence).diff()
    assert bool((steps > 0).all())
    assert evidence[-1] - evidence[0] > 100


def test_offsets_maximise_the_expected_likelihood():
    """Moving any offset from the solution makes the expected misfit, written out densely, larger."""
    problem, points, csi = noisy_scene()
    points = points.keep(torch.tensor(HELD))
    data = gather(points, problem, csi)
    result = posterior(data, torch.ones(1, 4, dtype=torch.float64), torch.tensor([0.05], dtype=torch.float64))
    matrix, step = dense_columns(points, problem), 1e-5
    slopes = []
    for axis in torch.eye(2, dtype=torch.float64):
        ends = [dense_columns(replace(points, position=points.position + s * step * axis), problem) for s in (1, -1)]
        slopes.append((ends[0] - ends[1]) / (2 * step))

    def expected_misfit(shift: torch.Tensor) -> float:
        moved = matrix + slopes[0] * shift[:, 0] + slopes[1] * shift[:, 1]
        spread = torch.einsum("mi,ij,mj->", moved, result.covariance[0], moved.conj()).real
        return float((csi.flatten() - moved @ result.mean[0]).abs().square().sum() + spread)

    shift = best_shift(points, result, problem, csi)[0]
    least = expected_misfit(shift)
    assert least < expected_misfit(0 * shift)
    for index in range(8):
        change = torch.zeros(8, dtype=torch.float64)
        change[index] = 1e-3
        assert least < min(expected_misfit(shift + sign * change.reshape(4, 2)) for sign in (1, -1))


def test_moving_to_the_offsets_raises_the_evidence():
    problem, points, csi = noisy_scene()
    points = points.keep(torch.tensor(HELD))
    variance, noise = torch.ones(1, 4, dtype=torch.float64), torch.tensor([0.05], dtype=torch.float64)
    evidence = []
    for _ in range(5):
        result = posterior(gather(points, problem, csi), variance, noise)
        evidence.append(float(result.log_evidence))
        points = replace(points, position=points.position + best_shift(points, result, problem, csi))
    assert bool((torch.tensor(evidence).diff() > -1e-6 * abs(evidence[0])).all())
    assert evidence[-1] > evidence[0] + 100


def test_without_noise_the_support_is_exact():
    problem = geometry()
    points, csi = scattering(problem, problem.grid.centre[0, HELD])
    image, bayesian = Points.at_pixel_centres(problem), SparseBayesian(oversampling=1)
    for _ in range(3):
        image = bayesian.image(problem, csi, image, search=True)
    assert (image.reflectivity != 0)[0].nonzero()[:, 0].tolist() == HELD
    torch.testing.assert_close(image.found().position, points.position, rtol=0, atol=1e-6)
    torch.testing.assert_close(image.found().reflectivity, points.reflectivity, rtol=1e-5, atol=0)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_gram_matrix_without_derivatives_is_the_part_of_the_one_with_them(missing):
    problem = geometry(replace(SMALL, missing_links=missing))
    points = Points.at_pixel_centres(problem).keep(torch.arange(9))
    plain, whole = (columns_at(points, problem, derivatives).gram(problem.link) for derivatives in (False, True))
    torch.testing.assert_close(plain, whole[:, :9, :9])


def test_settings_are_checked():
    with pytest.raises(ValueError, match="prune must be positive, got 0"):
        SparseBayesian(prune=0)
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        SparseBayesian(iterations=0)
