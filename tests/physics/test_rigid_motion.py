"""Rigid motions change no distance, and aligned errors do not contain them."""

from __future__ import annotations

import pytest
import torch

from unfolded_ogamp.physics import aligned, aligned_covariance, rigid_motions

GENERATOR_SEED = 1


def points(dimension: int, count: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    return torch.randn(count, dimension, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("dimension", [2, 3])
def test_distances_do_not_change_to_first_order(dimension: int) -> None:
    position, step = points(dimension), 1e-6
    motions = rigid_motions(position)
    assert motions.shape == (7 * dimension, dimension * (dimension + 1) // 2)
    torch.testing.assert_close(motions.T @ motions, torch.eye(motions.shape[1]).double())
    before = torch.cdist(position, position, compute_mode="donot_use_mm_for_euclid_dist")
    for motion in motions.T:
        moved = position + step * motion.reshape(position.shape)
        after = torch.cdist(moved, moved, compute_mode="donot_use_mm_for_euclid_dist")
        assert float((after - before).abs().max()) < 10 * step**2


@pytest.mark.parametrize("dimension", [2, 3])
def test_aligned_errors_are_those_without_a_rigid_motion(dimension: int) -> None:
    position = points(dimension)
    error = 0.1 * points(dimension).flip(0)
    motion = rigid_motions(position) @ torch.arange(1, dimension * (dimension + 1) // 2 + 1).double()
    torch.testing.assert_close(aligned(error + motion.reshape(error.shape), position), aligned(error, position))
    assert float((rigid_motions(position).T @ aligned(error, position).flatten()).abs().max()) < 1e-12


def test_the_covariance_of_aligned_errors_by_simulation() -> None:
    position = points(2, 4)
    root = torch.randn(8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    errors = torch.randn(2000, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64) @ root.T
    found = torch.stack([aligned(error.reshape(4, 2), position).flatten() for error in errors])
    expected = aligned_covariance(root @ root.T, position)
    assert float((found.T @ found / 2000 - expected).abs().max()) < 0.15 * float(expected.abs().max())


def test_two_points_in_the_plane_can_only_stretch() -> None:
    position = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    error = torch.tensor([[0.3, 0.2], [0.1, -0.4]], dtype=torch.float64)
    expected = torch.tensor([[0.1, 0.0], [-0.1, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(aligned(error, position), expected)
