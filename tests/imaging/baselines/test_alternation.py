"""The shared alternation of the baselines: phases from images, the final list, no effect of units or batch."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest
import torch
from baseline_problem import SMALL, complex_noise, geometry, scattering

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.baselines import BASELINES, build_baseline
from unfolded_ogamp.imaging.baselines.alternation import AlternationSettings, BaselineEstimator, listed, strength
from unfolded_ogamp.imaging.baselines.matched_filter import MatchedFilter
from unfolded_ogamp.imaging.baselines.points import Points
from unfolded_ogamp.imaging.phases.refinement import SynchronisationSettings
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.score import scene_metrics

CROWDED = replace(SMALL, name="crowded", n_tx=20, n_rx=20, sparsity=0.1, phase_std=0.3)


@pytest.fixture(params=BASELINES)
def baseline(request) -> BaselineEstimator:
    """Every baseline, with few rounds."""
    if request.param in ("fista", "omp"):
        pytest.importorskip("pyproximal", reason="the benchmark extra is not installed")
    return replace(build_baseline(request.param), settings=AlternationSettings(rounds=15, search_rounds=3))


def drawn(n_scenes: int, seed: int):
    return draw(SMALL, n_scenes, torch.Generator().manual_seed(seed))


def test_scatterers_and_phases_are_found(baseline):
    """The matched filter ignores interference of scatterers: it finds most of them, and its phases are not tested."""
    scene, csi = draw(CROWDED, 3, torch.Generator().manual_seed(0))
    estimate = baseline(csi, scene.array, scene.grid)
    unsynchronised = replace(estimate, tx_phase=0 * estimate.tx_phase, rx_phase=0 * estimate.rx_phase)
    found, start = (
        [scene_metrics(scene, one, index, joint_bound(scene, index)) for index in range(3)]
        for one in (estimate, unsynchronised)
    )
    if isinstance(baseline.imager, MatchedFilter):
        assert sum(one.missed for one in found) <= 15
    else:
        assert sum(one.success for one in found) >= 2
        assert median(one.phase_rmse for one in found) < median(one.phase_rmse for one in start) / 2


def test_estimates_depend_on_neither_units_nor_batch(baseline):
    scene, csi = drawn(2, seed=1)
    together = baseline(csi, scene.array, scene.grid)
    louder = replace(csi, value=1e4 * csi.value, noise_variance=1e8 * csi.noise_variance)[1:2]
    alone = baseline(louder, scene.array[1:2], scene.grid[1:2])
    torch.testing.assert_close(alone.scatterers[0].position, together.scatterers[1].position, rtol=0, atol=1e-3)
    torch.testing.assert_close(
        alone.scatterers[0].reflectivity, 1e4 * together.scatterers[1].reflectivity, rtol=0.01, atol=0
    )
    torch.testing.assert_close(alone.residual, 1e8 * together.residual[1:], rtol=0.01, atol=0)
    torch.testing.assert_close(
        alone.prediction, 1e4 * together.prediction[1:], rtol=0, atol=500 * csi.value.abs().max()
    )


def test_residual_is_that_of_the_prediction(baseline):
    scene, csi = draw(replace(SMALL, missing_links=0.3), 1, torch.Generator().manual_seed(2))
    estimate = baseline(csi, scene.array, scene.grid)
    power = (csi.value - estimate.prediction).abs().square()[0][csi.link[0]]
    torch.testing.assert_close(estimate.residual[0], power.mean(), rtol=1e-4, atol=0)


def test_noise_alone_gives_few_scatterers(baseline):
    scene, csi = drawn(1, seed=3)
    noise = complex_noise(csi.value, 4).to(csi.value.dtype)
    estimate = baseline(replace(csi, value=noise), scene.array, scene.grid)
    assert len(estimate.scatterers[0].position) <= 2
    assert bool(estimate.finite.all())


def test_list_is_debiased_and_thresholded():
    problem = geometry()
    centre = problem.grid.centre[0]
    points, csi = scattering(problem, centre[[15, 48, 71]])
    csi = csi + 0.3 * complex_noise(csi, 5)
    shrunk = 0.4 * points.reflectivity
    ghost = Points(
        torch.cat([points.position, centre[None, [90]], points.position[:, :1] + 0.01], dim=1),
        torch.cat([shrunk, 0.3 * shrunk[:, :1], 0.3 * shrunk[:, :1]], dim=1),
    )
    result = listed(ghost, problem, csi, AlternationSettings())
    assert result.position.shape[1] == 3
    # one scatterer listed as a pair, with shares of 1 and 0.3
    merged = points.position[:, :1] + 0.01 * 0.3 / 1.3
    torch.testing.assert_close(result.position[:, :1], merged)
    torch.testing.assert_close(result.position[:, 1:], points.position[:, 1:])
    deviation = (0.09 * result.reflectivity.abs().square() / strength(result, problem)).sqrt()
    error = (result.reflectivity - points.reflectivity).abs()[:, 1:]
    assert bool((error < 4 * deviation[:, 1:]).all())


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"search_rounds must be at most rounds = 3, got 4"):
        AlternationSettings(rounds=3, search_rounds=4)
    with pytest.raises(ValueError, match="one phase per node for all frequencies"):
        AlternationSettings(synchronisation=SynchronisationSettings(node_phase="per_frequency"))
