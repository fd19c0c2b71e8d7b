"""Greedy estimation: exact without noise, on the bound with noise, also with unknown phases."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import modelled, posed
from scipy.stats import binom

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.greedy import rounds
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator, search
from unfolded_ogamp.imaging.greedy.persistence import Budget
from unfolded_ogamp.imaging.greedy.settings import DetectionSettings, GreedySettings, RestartSettings
from unfolded_ogamp.imaging.phases.refinement import initial_phases
from unfolded_ogamp.imaging.problem import pose
from unfolded_ogamp.imaging.scenes.sampler import draw, draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import scene_metrics
from unfolded_ogamp.physics import measure
from unfolded_ogamp.records import concatenate

SMALL = Scenario(name="small", n_tx=14, n_rx=14, pixels=(10, 10), sparsity=0.05)
ONE_START = GreedySettings(restarts=RestartSettings(together=1))
NEVER_FOCUSED = GreedySettings(restarts=RestartSettings(together=1, focus_gain=math.inf))
NO_MORE = Budget(starts=1)


def success_and_metrics(
    scenario: Scenario,
    n_scenes: int,
    seed: int,
    settings: GreedySettings | None = None,
    budget: Budget | None = None,
):
    scene, csi = draw(scenario, n_scenes, torch.Generator().manual_seed(seed))
    estimate = GreedyEstimator(settings or GreedySettings(), budget or Budget())(csi, scene.array, scene.grid)
    return [scene_metrics(scene, estimate, i, joint_bound(scene, i)) for i in range(n_scenes)], estimate, scene


def test_all_scatterers_are_found_on_the_bound():
    metrics, _, _ = success_and_metrics(SMALL, 20, seed=0)
    assert sum(m.success for m in metrics) >= 19
    position = torch.tensor([m.position_efficiency for m in metrics])
    phase = torch.tensor([m.phase_efficiency for m in metrics])
    assert 0.7 < float(position.median()) < 1.1
    assert 0.7 < float(phase.median()) < 1.1


def test_without_noise_the_scene_is_recovered_exactly():
    """On one subcarrier: an average over several is not exact to 120 dB."""
    metrics, estimate, scene = success_and_metrics(replace(SMALL, snr_db=120.0, n_subcarriers=1), 3, seed=1)
    for index, m in enumerate(metrics):
        assert m.success
        assert m.position_rmse < 1e-6
        assert m.phase_rmse < 1e-5
        strength = estimate.scatterers[index].reflectivity.abs().sort().values
        torch.testing.assert_close(strength, scene.reflectivity[index].abs().sort().values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "scenario",
    [
        replace(SMALL, name="missing links", missing_links=0.3),
        replace(SMALL, name="wide pixels", pixel=0.5),
        replace(SMALL, name="space", n_tx=16, n_rx=16, pixels=(5, 5, 5), node_radius=(1.0, 1.5), sparsity=0.03),
    ],
    ids=lambda s: s.name,
)
def test_other_geometries(scenario):
    metrics, _, _ = success_and_metrics(scenario, 6, seed=2)
    assert sum(m.success for m in metrics) >= 5


def test_uniform_phases_need_no_synchronisation():
    """With uniform node phases one start suffices from autofocused phases, but seldom from the given ones."""
    scenario = replace(SMALL, n_tx=16, n_rx=16, phase_std=50.0)
    found = [
        sum(m.success for m in success_and_metrics(scenario, 5, seed=3, settings=settings, budget=NO_MORE)[0])
        for settings in (
            NEVER_FOCUSED,
            ONE_START,
        )
    ]
    assert found[0] < 4 <= found[1], found


@pytest.mark.parametrize("scale", [1e-20, 1e4, 1e20])
def test_scale_of_the_csi_is_carried_through(scale: float):
    scene, csi = draw(replace(SMALL, phase_std=50.0), 2, torch.Generator().manual_seed(4))
    estimator = GreedyEstimator(GreedySettings())
    plain = estimator(csi, scene.array, scene.grid)
    louder = replace(csi, value=scale * csi.value, noise_variance=scale**2 * csi.noise_variance)
    scaled = estimator(louder, scene.array, scene.grid)
    torch.testing.assert_close(scaled.scatterers[0].position, plain.scatterers[0].position)
    torch.testing.assert_close(scaled.scatterers[0].reflectivity / scale, plain.scatterers[0].reflectivity)
    torch.testing.assert_close(scaled.residual / scale**2, plain.residual)


def test_false_alarms_of_noise_alone():
    """Detection would accept noise in up to 30 % of the scenes; the criterion accepts it in hardly any."""
    scene, csi = draw(SMALL, 60, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(6)
    noise = torch.view_as_complex(torch.randn(*csi.value.shape, 2, generator=generator).to(scene.position))
    csi = replace(csi, value=noise, noise_variance=torch.full_like(csi.noise_variance, 2.0))
    problem = pose(csi, scene.array, scene.grid, torch.ones_like(scene.grid.pixel))
    settings = replace(ONE_START, detection=DetectionSettings(false_alarm=0.3))
    found = search(problem, initial_phases(problem), settings, NO_MORE)
    assert int(found.best.model.sources.used.any(1).sum()) <= binom.ppf(0.999, 60, 0.01)


def test_where_there_is_nothing_the_estimate_is_empty_and_converged():
    scene, csi = draw(SMALL, 2, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(6)
    noise = torch.view_as_complex(torch.randn(*csi.value.shape, 2, generator=generator).to(scene.position))
    csi = replace(csi, value=noise, noise_variance=torch.full_like(csi.noise_variance, 2.0))
    estimate = GreedyEstimator()(csi, scene.array, scene.grid)
    assert [len(found.position) for found in estimate.scatterers] == [0, 0]
    assert bool(estimate.converged.all())
    assert estimate.diagnosis == [(), ()]


def test_a_scene_does_not_depend_on_its_batch():
    """Unequal numbers of scatterers, uniform phases and so restarts, and a node at the origin of coordinates."""
    scenario = replace(SMALL, phase_std=50.0, snr_db=20.0)
    few, crowded = (draw(replace(scenario, sparsity=s), 2, torch.Generator().manual_seed(7)) for s in (0.03, 0.06))
    moved = [scene.array.tx[0, 0].clone() for scene, _ in (few, crowded)]
    csi = concatenate([few[1], crowded[1]])
    arrays = [
        replace(s.array, tx=s.array.tx - m, rx=s.array.rx - m) for (s, _), m in zip((few, crowded), moved, strict=True)
    ]
    grids = [replace(s.grid, centre=s.grid.centre - m) for (s, _), m in zip((few, crowded), moved, strict=True)]
    array, grid = concatenate(arrays), concatenate(grids)
    estimator = GreedyEstimator(GreedySettings(), Budget(starts=3))
    together = estimator(csi, array, grid)
    assert bool(together.prediction.isfinite().all())
    for index in range(4):
        one = slice(index, index + 1)
        alone = estimator(csi[one], array[one], grid[one])
        change = alone.scatterers[0].position - together.scatterers[index].position
        assert bool((change.abs() < 0.1 * alone.scatterers[0].position_std).all())  # converged, not bit for bit
        torch.testing.assert_close(alone.residual[0], together.residual[index], rtol=1e-4, atol=0)


def test_a_split_scatterer_is_merged():
    *_, problem, truth = posed(replace(SMALL, sparsity=0.04), seed=10)
    apart = torch.tensor([0.0, 0.03], dtype=torch.float64)
    split = truth.with_points(truth.position[:, :1] + apart, 0.3 * truth.reflectivity[:, :1], truth.used[:, :1])
    one = rounds.converge_and_prune(rounds.all_running(modelled(split, problem)), problem, GreedySettings()).model
    assert int(one.sources.used.sum()) == truth.used.shape[1]


def test_a_close_pair_is_not_merged():
    """Two scatterers a twelfth of a wavelength apart: neither amplitude is certain, but the CSI needs both."""
    scene = draw_scene(replace(SMALL, sparsity=0.04), 1, torch.Generator().manual_seed(10))
    position = scene.position.clone()
    position[0, 1] = position[0, 0] + scene.array.wavelength[0] / 12 * torch.tensor([0.6, 0.8])
    scene = replace(scene, position=position)
    csi = measure(scene, torch.Generator().manual_seed(11))
    estimate = GreedyEstimator()(csi, scene.array, scene.grid)
    found = estimate.scatterers[0].position.double()
    assert len(found) == 4
    distance = torch.cdist(position[0, :2], found).sort(dim=1)
    assert float(distance.values[:, 0].max()) < float(scene.array.wavelength) / 24


def test_settings_are_checked():
    with pytest.raises(ValueError, match="spacing must be positive, got 0"):
        DetectionSettings(spacing=0.0)
    with pytest.raises(ValueError, match="together must be at least 1, got 0"):
        RestartSettings(together=0)
    with pytest.raises(ValueError, match="starts must be at least 1, got 0"):
        Budget(starts=0)
