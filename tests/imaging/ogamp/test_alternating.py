"""The classic estimators as a whole: effects of recentring, search, alternation and the line of sight."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.estimate import Scatterers
from unfolded_ogamp.imaging.ogamp import iteration
from unfolded_ogamp.imaging.ogamp.alternating import (
    AlternatingEstimator,
    begin_block,
    end_block,
    init,
    observe,
    pose_problem,
)
from unfolded_ogamp.imaging.ogamp.listing import ListSettings, combine
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import scene_metrics
from unfolded_ogamp.physics import measure

TOY = Scenario(name="toy", n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.05)


def test_gradient_update_beats_the_fixed_expansion_by_the_papers_factor() -> None:
    """Fig. 5(e)-(f): known phases, off-grid scatterers; mean chamfer distances 0.1144 and 0.0413 in the paper."""
    scene, csi = draw(replace(TOY, phase_std=0.0), 40, torch.Generator().manual_seed(0))
    chamfer = {}
    for name in ("og_amp_paper", "og_amp_paper_fixed"):
        estimate = AlternatingEstimator(replace(PRESETS[name](), blocks=1))(csi, scene.array, scene.grid)
        values = [scene_metrics(scene, estimate, i, joint_bound(scene, i)).chamfer for i in range(40)]
        chamfer[name] = sum(values) / len(values)
    assert chamfer["og_amp_paper_fixed"] / chamfer["og_amp_paper"] > 0.1144 / 0.0413


def test_converged_estimate_sits_on_the_joint_bound() -> None:
    scenario = Scenario(n_tx=20, n_rx=20, pixels=(12, 12), sparsity=0.03)
    scene, csi = draw(scenario, 6, torch.Generator().manual_seed(1))
    settings = replace(PRESETS["og_amp"](), blocks=300, phase_tolerance=1e-6)
    estimate = AlternatingEstimator(settings)(csi, scene.array, scene.grid)
    metrics = [scene_metrics(scene, estimate, i, joint_bound(scene, i)) for i in range(6)]
    efficiency = sorted(m.phase_efficiency for m in metrics)
    assert efficiency[3] < 1.25, efficiency
    assert sum(m.success for m in metrics) >= 5


def test_line_of_sight_synchronises_nodes_with_arbitrary_phases() -> None:
    """Uniform node phases: imaging from zero phases fails, but the line of sight in the CSI determines the phases."""
    scenario = replace(TOY, n_tx=16, n_rx=16, phase_model="uniform", los=True)
    scene, csi = draw(scenario, 4, torch.Generator().manual_seed(2))
    estimate = AlternatingEstimator(PRESETS["og_amp"]())(csi, scene.array, scene.grid)
    for index in range(4):
        metrics = scene_metrics(scene, estimate, index, joint_bound(scene, index))
        assert metrics.phase_rmse < 0.02
        assert metrics.missed == 0


def test_non_finite_state_ends_the_run_of_that_scene_alone() -> None:
    scene, csi = draw(TOY, 3, torch.Generator().manual_seed(3))
    broken = csi.value.clone()
    broken[1] = broken[1] * torch.nan
    estimate = AlternatingEstimator(PRESETS["og_amp"]())(replace(csi, value=broken), scene.array, scene.grid)
    assert estimate.finite.tolist() == [True, False, True]
    whole = AlternatingEstimator(PRESETS["og_amp"]())(csi, scene.array, scene.grid)
    for index in (0, 2):
        torch.testing.assert_close(estimate.tx_phase[index], whole.tx_phase[index])


def test_missing_noise_variance_is_reported_in_one_line() -> None:
    scene, csi = draw(TOY, 1, torch.Generator().manual_seed(4))
    with pytest.raises(ValueError, match="known_noise needs CSI with a noise variance, got CSI without one"):
        AlternatingEstimator(PRESETS["og_amp_paper"]())(replace(csi, noise_variance=None), scene.array, scene.grid)


def test_history_shows_convergence() -> None:
    scene, csi = draw(TOY, 2, torch.Generator().manual_seed(5))
    estimate = AlternatingEstimator(PRESETS["og_amp"]())(csi, scene.array, scene.grid)
    residual = estimate.history.residual
    torch.testing.assert_close(residual[:, -1], estimate.residual, rtol=0.05, atol=0)
    assert (residual[:, -1] < 0.1 * residual[:, 0]).all()
    assert (estimate.history.change[:, -1] < 0.01 * estimate.history.change[:, :5].amax(1)).all()


def imaging_problem(offset: tuple[float, float]) -> tuple:
    """One scatterer at `offset` [m] from the centre of the middle pixel, negligible noise, known phases."""
    scenario = Scenario(n_tx=12, n_rx=12, pixels=(5, 5), sparsity=0.04, phase_std=0.0, snr_db=60)
    scene, _ = draw(scenario, 1, torch.Generator().manual_seed(6))
    scene = replace(scene, position=torch.tensor([[offset]], dtype=torch.float64))
    csi = measure(scene, torch.Generator().manual_seed(7))
    settings = PRESETS["og_amp"]()
    problem = pose_problem(csi, scene.array, scene.grid, settings)
    parameters = ImagingParameters.of(settings.imaging)
    state = init(problem, parameters, settings)
    return state.imaging, problem, observe(problem, state.phases), parameters, settings.imaging


@pytest.mark.parametrize("offset", [(0.08, -0.07), (-0.06, 0.09), (0.0, 0.0)])
def test_search_expands_the_pixel_within_reach_of_its_scatterer(offset: tuple[float, float]) -> None:
    """Three positions per axis are a third of a pixel apart: the nearest is at most a sixth of a pixel away."""
    state, problem, observation, _, settings = imaging_problem(offset)
    searched = iteration.search(state, problem, observation, settings)
    distance = (searched.offset[0, 12] - torch.tensor(offset)).abs().max()
    assert distance <= 0.2 / 6 + 1e-6


def test_recentring_moves_the_offset_from_the_coefficients_to_the_expansion() -> None:
    """The predicted CSI changes by the expansion error only; an offset counted twice would change it ten times more."""
    state, problem, _, parameters, settings = imaging_problem((0.0, 0.0))
    for shift in (4e-3, 2e-3):
        mean = torch.zeros_like(state.messages.posterior.mean)
        mean[0, :2, 12] = torch.tensor([1.0, shift])
        log_odds = torch.full_like(state.messages.posterior.log_odds, -40.0)
        log_odds[0, :, 12] = 40.0
        posterior = replace(state.messages.posterior, mean=mean, active_mean=mean, log_odds=log_odds)
        before = replace(state, messages=replace(state.messages, posterior=posterior))
        after = iteration.recentre(before, problem, parameters, settings)
        assert float(after.offset[0, 12, 0]) == pytest.approx(shift, rel=1e-4)
        compensated = (after.messages.prediction() - before.messages.prediction()).norm()
        twice = (after.messages.operator.forward(mean) - before.messages.prediction()).norm()
        assert compensated < 0.15 * twice


def test_recentring_finds_an_off_grid_scatterer() -> None:
    state, problem, observation, parameters, settings = imaging_problem((0.02, 0.015))
    for _ in range(60):
        state = iteration.step(state, problem, observation, parameters, settings, recentring=True)
    assert (state.offset[0, 12] - torch.tensor([0.02, 0.015])).abs().max() < 1e-3


def listed(*rows: tuple[float, float, complex]) -> Scatterers:
    position = torch.tensor([row[:2] for row in rows], dtype=torch.float64)
    reflectivity = torch.tensor([row[2] for row in rows], dtype=torch.complex128)
    return Scatterers.points(
        position,
        torch.diag_embed(torch.ones_like(position)),
        reflectivity,
        torch.linspace(0.9, 0.6, len(rows)).double(),
    )


def test_halves_of_a_split_scatterer_become_one() -> None:
    halves = listed((0.0, 0.0, 0.6 + 0j), (0.04, 0.0, 0.2 + 0j), (1.0, 0.0, 1j))
    one = combine(halves, ListSettings(merge_radius=0.15), wavelength=0.3)
    assert len(one.position) == 2
    torch.testing.assert_close(one.position[0], torch.tensor([0.01, 0.0], dtype=torch.float64))
    assert complex(one.reflectivity[0]) == pytest.approx(0.8)
    assert float(one.probability[0]) == pytest.approx(0.9)


def test_weak_companions_are_dropped_and_strong_ones_or_far_ones_kept() -> None:
    settings = ListSettings(merge_radius=0.1, shadow_radius=0.38, shadow_ratio=0.25)
    scene = listed((0.0, 0.0, 1 + 0j), (0.08, 0.0, 0.1 + 0j), (0.0, 0.09, 0.5 + 0j), (0.5, 0.0, 0.1j))
    kept = combine(scene, settings, wavelength=0.3)
    assert sorted(kept.reflectivity.abs().tolist()) == pytest.approx([0.1, 0.5, 1.0])
    assert combine(listed((0, 0, 1j)), ListSettings(), 0.3).position.tolist() == [[0, 0]]


def test_amplitude_adapts_to_the_active_pixels() -> None:
    state, *_ = imaging_problem((0.0, 0.0))
    posterior = state.messages.posterior
    log_odds = torch.full_like(posterior.log_odds, -40.0)
    log_odds[:, :, :9] = 40.0
    posterior = replace(posterior, log_odds=log_odds, active_mean=torch.full_like(posterior.active_mean, 3.0))
    adapted = iteration.adapt_amplitude(replace(state, messages=replace(state.messages, posterior=posterior)))
    assert float(adapted.amplitude) == pytest.approx(math.sqrt((1 + 9 * 9) / 10))


def test_a_block_that_diverges_is_undone() -> None:
    """Without damping message passing diverges; the state before the block is kept, with zero momentum."""
    scene, csi = draw(TOY, 3, torch.Generator().manual_seed(8))
    tame = PRESETS["og_amp"]()
    problem = pose_problem(csi, scene.array, scene.grid, tame)
    parameters = ImagingParameters.of(tame.imaging)
    state = init(problem, parameters, tame)
    for damping, n_blocks in ((0.5, 12), (0.0, 3)):
        for block in range(n_blocks):
            before = state
            state, observation = begin_block(state, problem, parameters, tame, block)
            wild = replace(parameters, damping=damping)
            for _ in range(2 if damping else 12):
                imaging = iteration.step(state.imaging, problem, observation, wild, tame.imaging, recentring=True)
                state = replace(state, imaging=imaging)
            state = end_block(state, before, problem, tame)
        if damping:
            converged = state
    assert (state.residual <= 2 * converged.residual).all()
    assert (state.phases.tx_move == 0).any()
