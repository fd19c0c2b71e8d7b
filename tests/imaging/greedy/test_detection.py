"""Detection adds the echoes above the threshold; merging keeps their sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from problems import modelled, pose_scene, posed
from scipy.stats import binom

from unfolded_ogamp.imaging.greedy import detection
from unfolded_ogamp.imaging.greedy.settings import DetectionSettings
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources, remove
from unfolded_ogamp.physics import measure

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


def pair(apart: float, weaker: float) -> tuple[Problem, Sources]:
    """Two scatterers on searched positions, so many wavelengths apart, the second with this share of the amplitude."""
    scene = draw_scene(replace(SCENARIO, sparsity=0.02, phase_std=0.0), 4, torch.Generator().manual_seed(3))
    searched = posed(SCENARIO, 4).problem.search_grid(SETTINGS.spacing).position.double()
    wanted = apart * scene.array.wavelength[:, None, None] * torch.tensor([[-0.5, 0.0], [0.5, 0.0]])
    index = torch.cdist(wanted, searched).argmin(2)
    scene = replace(
        scene,
        position=searched.gather(1, index[..., None].expand(-1, -1, 2)),
        reflectivity=torch.tensor([1.0, weaker], dtype=torch.complex128).expand(4, -1),
    )
    *_, problem, truth = pose_scene(scene, measure(scene, torch.Generator().manual_seed(4)), expected_count=1.0)
    return problem, truth


def added(problem: Problem, model: Model, limit: Sequence[int] = (5, 5, 5, 5)) -> Sources:
    return detection.add(model, problem, problem.search_grid(SETTINGS.spacing), SETTINGS, torch.tensor(limit))


def nothing(truth: Sources, problem: Problem) -> Model:
    return modelled(remove(truth, truth.used), problem)


def test_the_strongest_echoes_become_sources_with_their_reflectivity() -> None:
    problem, truth = pair(apart=2.0, weaker=1.0)
    found = added(problem, nothing(truth, problem))
    assert found.used.sum(1).tolist() == [2] * 4
    distance = torch.cdist(truth.position, found.position)
    assert float(distance.amin(2).max()) < 1e-6
    there = found.reflectivity.gather(1, distance.argmin(2))
    torch.testing.assert_close(there, truth.reflectivity, rtol=0, atol=0.3 * float(truth.reflectivity.abs().max()))


def test_a_round_adds_few_echoes_that_cannot_be_sidelobes() -> None:
    """No more than asked for, none that is much weaker than the strongest one, and none close to another."""
    problem, truth = pair(apart=2.0, weaker=1.0)
    assert added(problem, nothing(truth, problem), limit=[1, 2, 3, 0]).used.sum(1).tolist() == [1, 2, 2, 0]
    problem, truth = pair(apart=2.0, weaker=0.5)
    assert added(problem, nothing(truth, problem)).used.sum(1).tolist() == [1] * 4
    problem, truth = pair(apart=0.3, weaker=0.9)
    assert added(problem, nothing(truth, problem)).used.sum(1).tolist() == [1] * 4


def test_sources_have_at_most_as_many_unknowns_as_the_samples_determine() -> None:
    """64 complex samples: 51 unknowns at most, of them 14 node phases and D + 2 = 4 of every source; rank 8."""
    few = replace(SCENARIO, n_tx=8, n_rx=8, sparsity=0.17, n_subcarriers=1)
    *_, problem, truth = posed(few, 4, seed=5, expected_count=1.0)
    problem = replace(problem, least_count=torch.full((4,), 8))
    for known in (8, 9):
        missing = torch.arange(17).expand(4, -1) >= known
        assert int(added(problem, modelled(remove(truth, missing), problem)).used.sum(1).max()) == 9


def test_noise_makes_a_source_as_seldom_as_the_false_alarm_says() -> None:
    """Searched positions hear the same noise, so that it is less than the bound, but not by far."""
    settings = replace(SETTINGS, false_alarm=0.5)
    *_, problem, truth = posed(replace(SCENARIO, snr_db=-60.0), 400, seed=6, expected_count=1.0)
    model = nothing(truth, problem)
    one = torch.ones(400, dtype=torch.long)
    alarms = int(detection.add(model, problem, problem.search_grid(settings.spacing), settings, one).used.sum())
    assert 0.2 * 200 < alarms < binom.ppf(0.999, 400, 0.5)
