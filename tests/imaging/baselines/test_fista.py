"""Group lasso: least squares without penalty, soft thresholds on an orthogonal dictionary, and true adjoints."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from baseline_problem import SMALL, complex_noise, geometry, scattering

from unfolded_ogamp.operators.multistatic import MultistaticOperator
from unfolded_ogamp.operators.off_grid import OffGridOperator

pytest.importorskip("pyproximal", reason="the benchmark extra is not installed")

from unfolded_ogamp.imaging.baselines.fista import Fista, largest_eigenvalue
from unfolded_ogamp.imaging.baselines.library import DictionaryOperator


def orthogonal_dictionary() -> OffGridOperator:
    """A dictionary with orthogonal columns: Tx directions with cancelling signs, Rx factors of a Fourier basis."""
    n_rx = 5
    turns = torch.outer(torch.arange(n_rx), torch.arange(n_rx)).double() / n_rx
    rx = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)[None, None]
    tx = torch.ones(1, 1, 4, n_rx, dtype=torch.complex128)
    signs = torch.tensor([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]], dtype=torch.float64)
    return OffGridOperator(
        gains=MultistaticOperator(tx, rx),
        tx_direction=signs[None, :, :, None].expand(1, 2, 4, n_rx),
        rx_direction=torch.zeros(1, 2, n_rx, n_rx, dtype=torch.float64),
        wavenumber=torch.ones(1, 1, dtype=torch.float64),
    )


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_library_operator_is_the_dictionary_with_its_adjoint(missing):
    problem = geometry(replace(SMALL, missing_links=missing))
    position = problem.grid.centre[:, :7]
    weight = 0.5 + torch.rand(1, 3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    off_grid = OffGridOperator.at(problem.array, position, problem.dictionary_scale)
    dictionary = DictionaryOperator(off_grid, problem.link, weight)
    x, y = complex_noise(weight, 1).flatten().numpy(), complex_noise(problem.csi, 2).flatten().numpy()
    left, right = (dictionary @ x).conj() @ y, x.conj() @ (dictionary.H @ y)
    assert abs(left - right) < 1e-12 * abs(left)
    plain = DictionaryOperator(off_grid.gains, problem.link, weight[:, :1])
    some = plain.apply_columns([4, 1])
    unit = torch.zeros(7, dtype=torch.complex128)
    unit[4], unit[1] = 1.0, 2.0j
    torch.testing.assert_close(
        torch.from_numpy(some @ unit[[4, 1]].numpy()), torch.from_numpy(plain @ unit.numpy()), rtol=1e-12, atol=1e-12
    )


def test_a_vanishing_penalty_gives_least_squares():
    problem = geometry()
    position = problem.grid.centre[:, [0, 22, 47, 81]]
    operator = OffGridOperator.at(problem.array, position, problem.dictionary_scale)
    fista = Fista(penalty=1e-9, iterations=600)
    weight = fista.weights(operator, problem)
    observation = complex_noise(problem.csi, 3) * problem.link
    start = torch.zeros(weight.shape, dtype=torch.complex128)
    found = fista.solve(operator, problem.link, weight, observation, start)
    units = torch.eye(weight.numel(), dtype=torch.complex128).reshape(-1, *weight.shape)
    columns = torch.stack([(operator.forward(unit * weight) * problem.link).flatten() for unit in units], dim=1)
    expected = torch.linalg.lstsq(columns, observation.flatten()[:, None]).solution[:, 0]
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("penalty", [0.6, 0.9])
def test_groups_are_soft_thresholded_on_an_orthogonal_dictionary(penalty):
    operator = orthogonal_dictionary()
    link = torch.ones(1, 4, 5, 1, dtype=torch.float64)
    weight = torch.full((1, 3, 5), 20.0, dtype=torch.float64).rsqrt()
    observation = complex_noise(torch.empty(1, 4, 5, 1), 4)
    dictionary = DictionaryOperator(operator, link, weight)
    assert largest_eigenvalue(dictionary) == pytest.approx(1.0, rel=1e-12)
    start = torch.zeros(1, 3, 5, dtype=torch.complex128)
    found = Fista(penalty=penalty, iterations=200).solve(operator, link, weight, observation, start)
    echo = operator.adjoint(observation) * weight
    norm = echo.abs().square().sum(1, keepdim=True).sqrt()
    shrunk = echo * (1 - penalty * norm.max() / norm).clamp(min=0)
    torch.testing.assert_close(found, shrunk, rtol=1e-6, atol=1e-6)
    assert 0 < int((shrunk == 0).all(1).sum()) < 5


def test_recentring_moves_a_pixel_to_its_scatterer():
    problem = geometry()
    position = problem.grid.centre[0, [34, 67]]
    points, observation = scattering(problem, position)
    off = torch.tensor([[0.01, -0.006], [-0.008, 0.004]], dtype=torch.float64)
    start = replace(points, position=points.position + off)
    found = Fista(penalty=0.001, iterations=100)
    for _ in range(5):
        start = found.image(problem, observation, start, search=False)
    assert float((start.position[0] - position).abs().max()) < 1e-4
    torch.testing.assert_close(start.reflectivity, points.reflectivity, rtol=0.01, atol=0)


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"penalty must lie in \(0, 1\], got 0"):
        Fista(penalty=0)
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        Fista(iterations=0)
