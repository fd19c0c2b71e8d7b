"""Averaged subcarriers equal a measurement on one subcarrier in their middle, with less noise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import pose_scene, posed

from unfolded_ogamp.imaging.evidence.subcarriers import LARGEST_ANGLE, coherent, group_size
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import measure


def error_of_average(scenario: Scenario) -> torch.Tensor:
    """Root mean square of the averaged CSI, without noise, off what one subcarrier in the middle of a group measures.

    Relative to the CSI; [B].
    """
    scene, _, problem, _ = posed(scenario, 3, expected_count=1.0)
    few = coherent(problem)
    size = problem.csi.shape[3] // few.csi.shape[3]
    middle = scene.array.frequency.unflatten(1, (-1, size)).mean(2)
    alone = replace(
        scene,
        array=replace(scene.array, frequency=middle),
        tx_phase=scene.tx_phase[..., ::size],
        rx_phase=scene.rx_phase[..., ::size],
    )
    expected = pose_scene(alone, measure(alone, torch.Generator().manual_seed(1)), expected_count=1.0).problem
    # compensating the delay over the middle of the region does not change the middle frequency
    scale = (problem.unit / expected.unit)[:, None, None, None]
    error = (few.csi * scale - expected.csi).abs().square().mean((1, 2, 3))
    return (error / expected.csi.abs().square().mean((1, 2, 3))).sqrt()


def test_average_is_the_measurement_in_the_middle_of_the_group() -> None:
    """If subcarriers rotate an echo by up to a, their average is that in their middle times sin a / a, 1 - a^2 / 6."""
    scenario = Scenario(n_tx=6, n_rx=7, pixels=(8, 8), n_subcarriers=6, subcarrier_spacing=2e5, snr_db=200.0)
    assert group_size(posed(scenario, 3).problem) == 6
    assert bool((error_of_average(scenario) < LARGEST_ANGLE**2 / 6).all())


def test_a_line_of_sight_far_ahead_of_the_echoes_is_not_averaged_away() -> None:
    """Paths via the region are up to 10 m longer than the line of sight, and the region is 1 m wide."""
    far = Scenario(n_tx=6, n_rx=7, pixels=(5, 5), node_radius=(4.0, 6.0), n_subcarriers=6, subcarrier_spacing=4e5)
    far = replace(far, snr_db=200.0)
    assert group_size(posed(far, 3).problem) == 6
    with_los = replace(far, los=True)
    assert group_size(posed(with_los, 3).problem) < 6
    assert bool((error_of_average(with_los) < LARGEST_ANGLE**2 / 2).all())


def test_noise_is_averaged() -> None:
    scenario = Scenario(n_tx=20, n_rx=20, pixels=(6, 6), n_subcarriers=4, snr_db=-20.0)
    problem = posed(scenario, 3, expected_count=1.0).problem
    few = coherent(problem)
    torch.testing.assert_close(few.noise_variance, problem.noise_variance / 4)
    shown = few.mean_power(few.csi)
    torch.testing.assert_close(shown, few.noise_variance, rtol=0.2, atol=0)


@pytest.mark.parametrize(("spacing", "size"), [(1e4, 12), (4e5, 6), (7e5, 4), (1.2e6, 3), (2e6, 2), (5e6, 1)])
def test_groups_are_as_large_as_the_region_allows(spacing: float, size: int) -> None:
    """In a region of radius r, a group of bandwidth s rotates an echo by up to 2 pi (s / 2) (2 r / c)."""
    scenario = Scenario(n_tx=5, n_rx=5, pixels=(10, 10), n_subcarriers=12, subcarrier_spacing=spacing)
    problem = posed(scenario, 3, expected_count=1.0).problem
    radius = 0.9 * 2**0.5 + 0.2
    turn = {n: 2 * torch.pi * (n - 1) * spacing * radius / 299_792_458 for n in (12, 6, 4, 3, 2, 1)}
    assert size == max(n for n, angle in turn.items() if angle < LARGEST_ANGLE)
    assert group_size(problem) == size
    assert coherent(problem).csi.shape[3] == 12 // size
