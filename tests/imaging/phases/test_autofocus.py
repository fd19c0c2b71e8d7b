"""Autofocus raises the sharpness, and recovers unknown phases."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import pose_scene, posed

from unfolded_ogamp.imaging.phases import autofocus
from unfolded_ogamp.imaging.phases.autofocus import AutofocusSettings
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import Scene, link_phase, link_phase_error, link_phasor

SMALL = Scenario(name="small", n_tx=16, n_rx=16, pixels=(10, 10), sparsity=0.06, phase_model="uniform")
PLAIN = AutofocusSettings(phase_step=1.0, momentum=0.0)


def drawn(scenario: Scenario, n_scenes: int, seed: int) -> tuple[Scene, Problem, SearchGrid]:
    scene, _, problem, _ = posed(scenario, n_scenes, seed)
    return scene, problem, problem.search_grid(PLAIN.spacing)


def node_phases(tx: torch.Tensor, rx: torch.Tensor) -> NodePhases:
    return NodePhases(tx[..., None], rx[..., None], 0 * tx[..., None], 0 * rx[..., None])


def test_search_grid_covers_the_region_within_its_spacing():
    scene, problem, _ = drawn(SMALL, 1, seed=0)
    search_grid = problem.search_grid(spacing=0.25)
    points = scene.grid.centre[0, :5] + 0.1 * (2 * torch.rand(5, 2, generator=torch.Generator().manual_seed(9)) - 1)
    nearest = torch.cdist(points.double(), search_grid.position[0].double()).amin(1)
    half_diagonal = math.sqrt(2) / 2 * 0.25 * float(scene.array.wavelength)
    assert float(nearest.max()) <= half_diagonal


def test_back_projection_and_channel_are_adjoint_also_with_a_node_on_a_position():
    _, problem, _ = drawn(SMALL, 2, seed=1)
    tx = problem.array.tx.clone()
    tx[0, 0] = problem.search_grid(0.35).position[0, 7]
    problem = replace(problem, array=replace(problem.array, tx=tx))
    search_grid = problem.search_grid(0.35)
    generator = torch.Generator().manual_seed(2)
    csi = torch.randn(problem.csi.shape, dtype=torch.complex64, generator=generator)
    image = torch.randn(search_grid.energy.shape, dtype=torch.complex64, generator=generator)
    there = (search_grid.channel(image).conj() * csi).sum((1, 2, 3))
    back = (image.conj() * search_grid.back_project(csi)).sum(1)
    torch.testing.assert_close(there, back, rtol=1e-4, atol=1e-3)
    assert float(search_grid.back_project(csi)[0, 7].abs()) == 0.0


def test_sharpness_never_falls():
    """Convexity guarantees this for a plain step from any start."""
    _, problem, search_grid = drawn(SMALL, 4, seed=3)
    phases = NodePhases.zero(problem.link, 1)
    last = autofocus.sharpness(autofocus.image_of(problem, phases, search_grid))
    for _ in range(15):
        phases = autofocus.step(problem, phases, search_grid, PLAIN)
        sharp = autofocus.sharpness(autofocus.image_of(problem, phases, search_grid))
        assert bool((sharp >= last * (1 - 1e-5)).all())
        last = sharp


def test_autofocus_recovers_unknown_phases():
    """From uniform phases the image becomes as sharp as at the true phases; it may shift as a whole."""
    scene, problem, search_grid = drawn(SMALL, 8, seed=4)
    zero = NodePhases.zero(problem.link, 1)
    phases, gain = autofocus.focus(problem, zero, search_grid, AutofocusSettings())
    truth = node_phases(scene.tx_phase[..., 0], scene.rx_phase[..., 0])
    start, sharp, best = (
        autofocus.sharpness(autofocus.image_of(problem, p, search_grid)) for p in (zero, phases, truth)
    )
    assert int((sharp > 0.9 * best).sum()) >= 7
    torch.testing.assert_close(gain, sharp / start)


def test_line_of_sight_and_image_are_focused_together():
    """Uniform phases, and a line of sight on some links: the other links make the image, and both agree."""
    scene, csi = draw(replace(SMALL, n_tx=20, n_rx=20, los=True), 6, torch.Generator().manual_seed(5))
    some = torch.rand(csi.los.shape, generator=torch.Generator().manual_seed(6)) < 0.3
    rotation = link_phasor(scene.tx_phase, scene.rx_phase).conj()
    value = torch.where(some[..., None], csi.value, csi.value - csi.los_channel * rotation)
    problem = pose_scene(scene, replace(csi, value=value, los=some, los_trusted=some)).problem
    search_grid = problem.search_grid(PLAIN.spacing)
    phases, _ = autofocus.focus(problem, NodePhases.zero(problem.link, 1), search_grid, AutofocusSettings())
    error = link_phase_error(link_phase(phases.tx, phases.rx), link_phase(scene.tx_phase, scene.rx_phase), scene.link)
    assert float(error.square().mean((1, 2, 3)).sqrt().median()) < 0.5


def test_with_a_line_of_sight_everywhere_there_is_no_image():
    _, problem, search_grid = drawn(replace(SMALL, los=True), 2, seed=7)
    phases, gain = autofocus.focus(problem, NodePhases.zero(problem.link, 1), search_grid, AutofocusSettings())
    assert gain.tolist() == [1.0, 1.0]
    assert bool(torch.isfinite(phases.tx).all())


def test_settings_are_checked():
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        AutofocusSettings(steps=0)
    with pytest.raises(ValueError, match=r"phase_step must lie in \(0, 2\), got 2\.0"):
        AutofocusSettings(phase_step=2.0)
