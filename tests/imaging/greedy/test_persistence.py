"""Further starts keep to their budget; the margin holds the region; echoes from outside of it are listed apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import posed

from unfolded_ogamp.imaging.greedy import persistence
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.greedy.persistence import Budget, with_margin
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi, Scene, measure

# far more scatterers than the few samples determine
HOPELESS = Scenario(n_tx=5, n_rx=5, pixels=(8, 8), sparsity=0.3, n_subcarriers=1, phase_model="uniform")


def of_hopeless(budget: Budget, n_scenes: int = 1):
    scene = draw_scene(HOPELESS, n_scenes, torch.Generator().manual_seed(1))
    csi = measure(scene, torch.Generator().manual_seed(2))
    return GreedyEstimator(budget=budget)(csi, scene.array, scene.grid)


@pytest.mark.parametrize("starts", [1, 3, 6])
def test_the_number_of_starts_is_that_of_the_budget(starts: int) -> None:
    """The starts that a batch makes together always run."""
    reported: list[int] = []
    budget = Budget(starts=starts, report=lambda count, _: reported.append(count))
    estimate = of_hopeless(budget, n_scenes=2)
    assert not estimate.converged.any()
    assert reported == list(range(3, starts + 1)) * 2
    for lines in estimate.diagnosis:
        assert lines[0].startswith("not converged")
        assert f"({max(starts, 2)} starts, " in lines[0]


def test_the_time_of_the_budget_counts_for_every_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds pass with every look at the clock: between the first one and the third start, 20."""
    clock = iter(range(0, 10**6, 10))
    monkeypatch.setattr(persistence.time, "monotonic", lambda: next(clock))
    reported: list[tuple[int, float]] = []
    of_hopeless(Budget(seconds=25.0, report=lambda count, elapsed: reported.append((count, elapsed))), n_scenes=2)
    assert reported == [(3, 10), (4, 20), (5, 30)] * 2


def test_a_solved_scene_needs_no_further_start() -> None:
    scenario = replace(HOPELESS, n_tx=14, n_rx=14, sparsity=0.05, phase_model="residual")
    scene = draw_scene(scenario, 1, torch.Generator().manual_seed(1))
    csi = measure(scene, torch.Generator().manual_seed(2))

    def never(count: int, elapsed: float) -> None:
        raise AssertionError(f"start {count} after {elapsed} s")

    assert bool(GreedyEstimator(budget=Budget(report=never))(csi, scene.array, scene.grid).converged.all())


@pytest.mark.parametrize("pixels", [(8, 5), (1, 1), (4, 3, 6)])
def test_the_margin_holds_the_region_and_is_as_wide_on_all_sides(pixels: tuple[int, ...]) -> None:
    scenario = Scenario(n_tx=5, n_rx=5, pixels=pixels, sparsity=0.02, node_radius=(2.0, 3.0))
    problem = posed(scenario, 1, expected_count=1.0).problem
    grid, wide = problem.grid, with_margin(problem).grid
    torch.testing.assert_close(wide.pixel, grid.pixel)
    assert float(torch.cdist(grid.centre[0], wide.centre[0]).amin(1).max()) < 1e-6
    below = grid.centre[0].amin(0) - wide.centre[0].amin(0)
    above = wide.centre[0].amax(0) - grid.centre[0].amax(0)
    torch.testing.assert_close(below, above)
    torch.testing.assert_close(below, below[:1].expand_as(below))
    assert float(below[0]) > 0.5 * float(grid.pixel)


def beside_the_region() -> tuple[Scene, Csi]:
    """Three scatterers in the region, and two as strong ones beside it."""
    scenario = Scenario(n_tx=14, n_rx=14, pixels=(10, 10), sparsity=0.05, snr_db=25.0, node_radius=(1.2, 1.6))
    scene = draw_scene(scenario, 1, torch.Generator().manual_seed(4))
    position = scene.position.clone()
    position[0, 3] = torch.tensor([1.3, 0.4])
    position[0, 4] = torch.tensor([-0.5, -1.25])
    scene = replace(scene, position=position)
    return scene, measure(scene, torch.Generator().manual_seed(5))


@pytest.mark.parametrize("blind", [True, False], ids=["all searches", "margin alone"])
def test_echoes_from_outside_the_region_are_listed_apart(monkeypatch: pytest.MonkeyPatch, blind: bool) -> None:
    """The blind searches find some echoes from anywhere; without them, starts that search a margin do."""
    if not blind:
        monkeypatch.setattr(persistence, "separated", lambda *_: iter(()))
        monkeypatch.setattr(persistence, "overshot", lambda *_: iter(()))
    scene, csi = beside_the_region()
    estimate = GreedyEstimator()(csi, scene.array, scene.grid)
    assert bool(estimate.converged)
    limit = 0.1 * float(scene.array.wavelength)
    for found, true in ((estimate.scatterers[0], scene.position[0, :3]), (estimate.outside[0], scene.position[0, 3:])):
        assert found.position.shape == true.shape
        assert float(torch.cdist(true, found.position).amin(1).max()) < limit
    assert any("2 echoes from outside the region" in line for line in estimate.diagnosis[0])
