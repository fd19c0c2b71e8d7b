"""Damped least squares: fixed unknowns, singular systems, and independence of units."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unfolded_ogamp.inference import least_squares

UNITS = torch.tensor([1e4, 1.0, 1e-3, 10.0, 1e2], dtype=torch.float64)


def equations(dtype: torch.dtype, n_rows: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of three Jacobians [B, M, P] in very different units, with the normal matrix and right-hand sides."""
    generator = torch.Generator().manual_seed(0)
    jacobian = torch.randn(3, n_rows, 5, dtype=dtype, generator=generator) * UNITS
    misfit = torch.randn(3, n_rows, 1, dtype=dtype, generator=generator)
    return jacobian, jacobian.mH @ jacobian, (jacobian.mH @ misfit)[..., 0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_damping_is_relative_to_the_diagonal(dtype: torch.dtype) -> None:
    _, matrix, right = equations(dtype)
    damping = torch.tensor([0.0, 0.1, 10.0], dtype=torch.float64)
    damped = matrix + torch.diag_embed(damping[:, None] * matrix.diagonal(dim1=1, dim2=2).real)
    expected = torch.linalg.solve(damped, right)
    torch.testing.assert_close(least_squares.solve(matrix, right, damping), expected, rtol=1e-9, atol=0)
    inverse, failed = least_squares.inverse(matrix, damping)
    torch.testing.assert_close(inverse, torch.linalg.inv(damped), rtol=1e-9, atol=0)
    assert not failed.any()


def test_many_right_hand_sides_are_one_by_one() -> None:
    _, matrix, right = equations(torch.complex128)
    sides = torch.stack([right, 1j * right, 0 * right], dim=2)
    expected = torch.stack([least_squares.solve(matrix, side, 0.3) for side in sides.unbind(2)], dim=2)
    torch.testing.assert_close(least_squares.solve_many(matrix, sides, 0.3), expected, rtol=1e-12, atol=0)


def test_fixed_unknowns_stay_and_the_others_are_solved_without_them() -> None:
    _, matrix, right = equations(torch.float64)
    moving = torch.ones(3, 5, dtype=torch.bool)
    moving[0, 2] = moving[1, [0, 4]] = False
    found = least_squares.solve(matrix, right, 0.0, moving)
    inverse, _ = least_squares.inverse(matrix, 0.0, moving)
    for scene in range(3):
        free = moving[scene]
        expected = torch.linalg.solve(matrix[scene][free][:, free], right[scene][free])
        torch.testing.assert_close(found[scene][free], expected, rtol=1e-9, atol=0)
        assert found[scene][~free].abs().sum() == 0
        assert inverse[scene][~free].abs().sum() == inverse[scene][:, ~free].abs().sum() == 0


def test_an_unknown_without_information_is_fixed() -> None:
    jacobian, _, _ = equations(torch.float64)
    jacobian[:, :, 3] = 0.0
    found = least_squares.solve(jacobian.mT @ jacobian, jacobian.sum(1), 0.0)
    rest = jacobian[:, :, [0, 1, 2, 4]]
    expected = torch.linalg.solve(rest.mT @ rest, rest.sum(1))
    torch.testing.assert_close(found[:, [0, 1, 2, 4]], expected, rtol=1e-9, atol=0)
    assert found[:, 3].abs().max() == 0


def test_a_singular_system_gives_zero_and_finite_gradients_of_the_others() -> None:
    _, matrix, right = equations(torch.float64)
    matrix[1, 0, 1] = matrix[1, 1, 0] = 2 * (matrix[1, 0, 0] * matrix[1, 1, 1]).sqrt()  # no correlation is above one
    right = right.requires_grad_()
    matrix = matrix.requires_grad_()
    found = least_squares.solve(matrix, right, 1e-9)
    assert found[1].abs().max() == 0
    assert found[[0, 2]].abs().min() > 0
    assert least_squares.inverse(matrix, 1e-9)[1].tolist() == [False, True, False]
    gradients = torch.autograd.grad(found.square().sum(), (matrix, right))
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_columns_that_depend_on_one_another_share_the_solution_of_least_norm() -> None:
    jacobian, _, _ = equations(torch.complex128)
    twice = torch.cat([jacobian, jacobian[..., :1]], dim=2)
    misfit = twice @ torch.ones(6, dtype=torch.complex128)
    found = least_squares.minimum_norm(twice.mH @ twice, (twice.mH @ misfit[..., None])[..., 0], tolerance=1e-8)
    torch.testing.assert_close(found, torch.ones_like(found), rtol=1e-6, atol=0)
