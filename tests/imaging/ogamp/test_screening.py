"""Screening: the choice of candidates, and imaging on them."""

from __future__ import annotations

from dataclasses import replace

import torch
from problems import posed

from unfolded_ogamp.imaging.greedy.estimator import initial_phases
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.ogamp import alternating, screening
from unfolded_ogamp.imaging.ogamp.presets import screened_imaging
from unfolded_ogamp.imaging.ogamp.screening import ScreenedState, ScreeningSettings
from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters
from unfolded_ogamp.imaging.phases.refinement import RefinementParameters
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import Scene, distances

IMAGING = screened_imaging()
PARAMETERS = ImagingParameters.of(IMAGING)
SCREENING = ScreeningSettings(candidates=3.0)
PLANE = Scenario(n_tx=14, n_rx=14, pixels=(9, 9), sparsity=0.05, phase_std=0.0, snr_db=40.0)
SPACE = Scenario(n_tx=20, n_rx=20, pixels=(5, 5, 5), sparsity=0.05, node_radius=(1.0, 1.5), phase_std=0.0, snr_db=40.0)
FULL = RefinementParameters(phase_step=1.0, momentum=0.0)


def with_grid(scenario: Scenario, n_scenes: int, seed: int) -> tuple[Scene, Problem, SearchGrid]:
    scene, _, problem, _ = posed(scenario, n_scenes, seed, expected_count=5.0)
    return scene, problem, problem.search_grid(SCREENING.spacing)


def start(problem: Problem, search_grid: SearchGrid) -> ScreenedState:
    return screening.init(problem, search_grid, initial_phases(problem), PARAMETERS, IMAGING, SCREENING)


def after(problem: Problem, search_grid: SearchGrid, count: int) -> ScreenedState:
    state = start(problem, search_grid)
    for block in range(count):
        if block:
            state = screening.screen(state, problem, search_grid, PARAMETERS, IMAGING, SCREENING)
        observation = alternating.observe(problem, state.phases)
        for _ in range(4):
            state = screening.image(state, problem, observation, PARAMETERS, IMAGING)
        state = screening.synchronise(state, problem, NetworkSettings().synchronisation, FULL, 3)
    return state


def test_peaks_are_the_local_maxima_one_by_one() -> None:
    _, problem, search_grid = with_grid(PLANE, 2, seed=1)
    picture = search_grid.back_project(problem.csi)
    position, power = screening.peaks(search_grid, picture, problem, SCREENING)
    assert position.shape[1] == SCREENING.count(problem) == 42  # 3 sqrt(14 x 14)
    for scene in range(2):
        response = picture[scene].abs().square()
        strongest = response.argsort(descending=True)[: 4 * 42]
        radius = SCREENING.separation * float(problem.array.wavelength[scene])
        expected = []
        for index, one in enumerate(strongest):
            distance = (search_grid.position[scene, strongest[:index]] - search_grid.position[scene, one]).norm(dim=1)
            if bool((distance >= radius).all()):
                expected.append(float(response[one]))
        found = power[scene][power[scene] > 0]
        torch.testing.assert_close(found, torch.tensor(expected[:42]).to(found), rtol=1e-4, atol=0)


def test_screening_keeps_active_candidates_and_their_prediction() -> None:
    _, problem, search_grid = with_grid(PLANE, 3, seed=2)
    state = after(problem, search_grid, 1)
    posterior = state.imaging.messages.posterior
    again = screening.screen(state, problem, search_grid, PARAMETERS, IMAGING, SCREENING)
    active = posterior.log_odds[:, 0] > 0
    assert bool(active.any(1).all())
    radius = SCREENING.guard * problem.array.wavelength
    for scene in range(3):
        held = state.position[scene, active[scene]]
        between = distances(held, again.position[scene])
        assert float(between.amin(1).max()) == 0.0  # none is lost
        others = (between.amin(0) > 0).nonzero()[:, 0]
        assert bool((between[:, others] >= radius[scene]).all())  # none comes twice
        kept = posterior.mean[scene, :, active[scene]].mT
        now = again.imaging.messages.posterior.mean[scene].mT
        for one, position in zip(kept, held, strict=True):
            same = (again.position[scene] == position).all(1).nonzero()[0, 0]
            assert torch.equal(now[same], one)


def test_scatterers_are_found_anywhere_in_their_pixels() -> None:
    """In all but a few scenes: a single start may end in a local minimum."""
    hits = 0
    for scenario, seed in ((PLANE, 3), (replace(PLANE, pixel=0.5), 4), (SPACE, 5)):
        scene, problem, search_grid = with_grid(scenario, 4, seed)
        sources = screening.active_sources(after(problem, search_grid, 6), problem)
        for index in range(4):
            distance = distances(scene.position[index], sources.position[index, sources.used[index]])
            near = distance < 0.1 * problem.array.wavelength[index]  # alternation has not converged yet
            hits += bool(near.any(1).all())
    assert hits >= 10


def test_a_non_finite_step_is_refused() -> None:
    _, problem, search_grid = with_grid(PLANE, 2, seed=6)
    state = start(problem, search_grid)
    observation = alternating.observe(problem, state.phases)
    broken = observation.clone()
    broken[0, 0, 0, 0] = torch.nan
    moved = screening.image(state, problem, broken, PARAMETERS, IMAGING)
    plain = screening.image(state, problem, observation, PARAMETERS, IMAGING)
    assert torch.equal(moved.imaging.messages.posterior.mean[0], state.imaging.messages.posterior.mean[0])
    torch.testing.assert_close(moved.imaging.messages.posterior.mean[1], plain.imaging.messages.posterior.mean[1])
