"""Detection adds the echoes above the threshold; merging keeps their sum."""

from __future__ import annotations

from dataclasses import replace

import torch
from problems import modelled, posed

from unfolded_ogamp.imaging.greedy import detection
from unfolded_ogamp.imaging.greedy.settings import DetectionSettings
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources

SETTINGS = DetectionSettings()
SCENARIO = Scenario(n_tx=14, n_rx=14, pixels=(10, 10), sparsity=0.04, snr_db=40.0)


def with_companions(truth: Sources, problem: Problem, apart: list[float], shares: list[complex]) -> Sources:
    """The truth and, at distances [wavelengths] from its first scatterer along x, sources that take shares from it."""
    n_companions = len(apart)
    shift = torch.zeros(n_companions, truth.position.shape[2], dtype=torch.float64)
    shift[:, 0] = torch.tensor(apart) * problem.array.wavelength[0]
    share = torch.tensor(shares, dtype=torch.complex128)
    first = truth.reflectivity[:, :1]
    rest = truth.reflectivity.clone()
    rest[:, :1] = first * (1 - share.sum())
    return replace(
        truth,
        position=torch.cat([truth.position, truth.position[:, :1] + shift], dim=1),
        reflectivity=torch.cat([rest, first * share], dim=1),
        used=torch.cat([truth.used, truth.used[:, :1].expand(-1, n_companions)], dim=1),
    )


def residual_power(sources: Sources, problem: Problem) -> torch.Tensor:
    return modelled(sources, problem).cost


def merge_and_prune(sources: Sources, problem: Problem) -> Sources:
    return detection.merge_and_prune(modelled(sources, problem), problem, SETTINGS).sources


def test_merging_keeps_the_sum_of_the_echoes() -> None:
    """For a split scatterer, and for a strong pair of opposite signs, the sum fits the CSI as well as the two."""
    *_, problem, truth = posed(SCENARIO, 4, seed=1, expected_count=1.0)
    echoes = residual_power(replace(truth, reflectivity=truth.reflectivity * (truth.used.cumsum(1) > 1)), problem)
    for share in (0.4, -0.3, 0.2j):
        split = with_companions(truth, problem, [0.02], [share])
        merged = merge_and_prune(split, problem)
        assert merged.used.sum(1).tolist() == truth.used.sum(1).tolist()
        change = residual_power(merged, problem) - residual_power(truth, problem)
        assert bool((change < 1e-3 * echoes).all())


def test_in_a_chain_only_neighbours_of_the_strongest_merge() -> None:
    """The third source is too far from the strongest, and does not change."""
    *_, problem, truth = posed(SCENARIO, 4, seed=1, expected_count=1.0)
    reach = 0.8 * SETTINGS.merge_radius
    merged = detection.merge_and_prune(
        modelled(with_companions(truth, problem, [reach, 2 * reach], [0.3, 0.2]), problem), problem, SETTINGS
    ).sources
    assert merged.used.sum(1).tolist() == (truth.used.sum(1) + 1).tolist()
    torch.testing.assert_close(merged.reflectivity.sum(1), truth.reflectivity.sum(1))
    torch.testing.assert_close(merged.reflectivity[:, 0], 0.8 * truth.reflectivity[:, 0])


def test_sources_below_the_threshold_or_outside_the_region_are_removed() -> None:
    *_, problem, truth = posed(SCENARIO, 4, seed=2, expected_count=1.0)
    assert problem.noise_variance is not None
    kept = merge_and_prune(truth, problem)
    assert torch.equal(kept.used, truth.used)
    faint = truth.reflectivity.clone()
    faint[:, 0] *= 1e-3
    assert (
        detection.merge_and_prune(modelled(replace(truth, reflectivity=faint), problem), problem, SETTINGS)
        .sources.used.sum(1)
        .tolist()
        == [3] * 4
    )
    edge = problem.grid.centre.amax(1) + problem.grid.pixel[:, None]
    for beyond in (-1e-3, 1e-3):
        position = truth.position.clone()
        position[:, 0] = edge + beyond
        found = detection.merge_and_prune(
            modelled(replace(truth, position=position), problem), problem, SETTINGS
        ).sources.used.sum(1)
        assert found.tolist() == [3 if beyond > 0 else 4] * 4
