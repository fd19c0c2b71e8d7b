"""The untrained network is its analytic steps, and one set of weights serves every geometry."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import started

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.greedy import detection, restarts
from unfolded_ogamp.imaging.greedy.rounds import GreedyState, free_phases
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.model_selection import consistent
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp import screening
from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters
from unfolded_ogamp.imaging.phases.refinement import NodePhases, RefinementParameters, observe
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import scene_metrics
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.records import choose

SCENARIOS = [
    Scenario(n_tx=8, n_rx=7, pixels=(8, 9), sparsity=0.05),
    Scenario(n_tx=9, n_rx=9, pixels=(4, 4, 4), sparsity=0.05, node_radius=(1.0, 1.5), n_subcarriers=1),
    Scenario(n_tx=7, n_rx=9, pixels=(7, 7), sparsity=0.05, los=True, missing_links=0.2, n_subcarriers=3),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=["plane", "volume", "los"])
def test_untrained_layers_are_the_analytic_steps(scenario: Scenario) -> None:
    scene, csi = draw(scenario, 3, torch.Generator().manual_seed(1))
    settings = NetworkSettings(blocks=3, layers=2, detection_passes=0)
    network = UnfoldedOGAMP(settings).double()
    posed = network.pose(csi, scene.array, scene.grid)
    problem, imaging, step = posed.problem, settings.imaging, settings.greedy.step
    parameters = ImagingParameters.of(imaging)
    state = screening.init(problem, posed.search_grid, posed.phases, parameters, imaging, settings.screening)
    for block, learned in enumerate(network.states(problem, posed.search_grid, posed.phases)):
        if block:
            state = screening.screen(state, problem, posed.search_grid, parameters, imaging, settings.screening)
        observation = observe(problem, state.phases)
        for _ in range(2):
            state = screening.image(state, problem, observation, parameters, imaging)
        tuned = RefinementParameters.of(settings.synchronisation)
        state = screening.synchronise(state, problem, settings.synchronisation, tuned, step.phase_count)
        torch.testing.assert_close(learned.position, state.position)
        torch.testing.assert_close(learned.imaging.messages.posterior.mean, state.imaging.messages.posterior.mean)
        torch.testing.assert_close(learned.phases.tx, state.phases.tx)
    refined = started(screening.active_sources(state, problem), problem)
    thresholds = replace(settings.greedy.detection, false_alarm=settings.false_alarms)
    prior = joint_step.JointParameters(prior=1.0)
    for count in (settings.joint_layers, settings.final_layers):
        for _ in range(count):
            free = free_phases(refined.model, problem, step)
            refined = joint_step.step(refined, problem, free, step.largest_move, prior)
        refined = joint_step.init(detection.merge_and_prune(refined.model, problem, thresholds))
    torch.testing.assert_close(network.refinement(learned, problem, posed.search_grid).model.cost, refined.model.cost)


def test_learned_scalars_change_the_estimate_and_receive_gradients() -> None:
    scene, csi = draw(Scenario(n_tx=12, n_rx=12, pixels=(8, 8), sparsity=0.08), 2, torch.Generator().manual_seed(2))
    network = UnfoldedOGAMP(NetworkSettings(blocks=4, layers=2)).double()
    posed = network.pose(csi, scene.array, scene.grid)
    *_, last = network.states(posed.problem, posed.search_grid, posed.phases)
    refined = network.refinement(last, posed.problem, posed.search_grid).model
    (refined.cost.sum() + network.log_odds(refined, posed.problem).sum()).backward()
    # in the competition only the last layer has a gradient, because its weights are zero
    named = [(name, p) for name, p in network.named_parameters() if not name.startswith("competition.neighbour")]
    reached = {name.split(".")[-1] for name, p in named if p.grad is not None and p.grad.any()}
    assert reached == {name.split(".")[-1] for name, _ in named}
    prediction = last.imaging.messages.prediction()
    torch.nn.init.constant_(network.blocks[0].imaging[0].noise_share, 1.0)
    *_, changed = network.states(posed.problem, posed.search_grid, posed.phases)
    difference = changed.imaging.messages.prediction() - prediction
    assert difference.abs().max() > 1e-6 * prediction.abs().max()


@pytest.mark.parametrize("value", [-1e3, 1e3])
def test_learned_scalars_stay_near_their_analytic_meaning(value: float) -> None:
    network = UnfoldedOGAMP(
        NetworkSettings(blocks=1, first_exit=1, layers=1, detection_passes=0, joint_layers=1, final_layers=1)
    ).double()
    start = {name: float(curve[0]) for name, curve in network.curves().items()}
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, value)
    sign = math.copysign(1, value)
    for name, curve in network.curves().items():
        if name in ("activity", "reflectivity_mean"):
            expected = start[name] + 2 * sign
        elif name == "momentum":
            expected = start[name] + sign
        elif name == "damping":
            expected = 1 / (1 + math.exp(-(math.log(start[name] / (1 - start[name])) + 0.5 * sign)))
        else:
            expected = start[name] * 4**sign
        assert float(curve[0]) == pytest.approx(expected), name


def test_scenes_of_a_batch_are_independent() -> None:
    scene, csi = draw(SCENARIOS[0], 3, torch.Generator().manual_seed(3))
    network = UnfoldedOGAMP(NetworkSettings()).double()
    together = network(csi, scene.array, scene.grid)
    alone = network(csi[1:2], scene.array[1:2], scene.grid[1:2])
    torch.testing.assert_close(together.prediction[1:2], alone.prediction, rtol=1e-5, atol=1e-9)


def test_csi_of_any_scale_gives_the_same_scatterers() -> None:
    scene, csi = draw(SCENARIOS[0], 2, torch.Generator().manual_seed(4))
    network = UnfoldedOGAMP(NetworkSettings()).double()
    louder = replace(csi, value=csi.value * 1e6, noise_variance=csi.noise_variance * 1e12)
    one, other = network(csi, scene.array, scene.grid), network(louder, scene.array, scene.grid)
    for quiet, loud in zip(one.scatterers, other.scatterers, strict=True):
        torch.testing.assert_close(loud.position, quiet.position, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(loud.reflectivity, quiet.reflectivity * 1e6, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("scenario", [replace(s, n_tx=14, n_rx=14) for s in SCENARIOS], ids=["plane", "volume", "los"])
def test_untrained_network_finds_all_scatterers_on_the_bound(scenario: Scenario) -> None:
    scene, csi = draw(scenario, 10, torch.Generator().manual_seed(5))
    with torch.inference_mode():
        estimate = UnfoldedOGAMP(NetworkSettings())(csi.to(torch.float32), *both(scene))
    metrics = [scene_metrics(scene, estimate, index, joint_bound(scene, index)) for index in range(10)]
    assert sum(m.success for m in metrics) >= 9
    assert sorted(m.phase_efficiency for m in metrics)[5] < 1.3
    assert sorted(m.position_efficiency for m in metrics)[5] < 1.3


def both(scene):
    return scene.array.to(torch.float32), scene.grid.to(torch.float32)


def test_only_scenes_with_a_residual_above_the_noise_restart() -> None:
    scene, csi = draw(Scenario(n_tx=12, n_rx=12, pixels=(8, 8), sparsity=0.06), 6, torch.Generator().manual_seed(6))
    network = UnfoldedOGAMP(NetworkSettings()).double()
    posed = network.pose(csi, scene.array, scene.grid)
    problem, settings = posed.problem, replace(network.settings.greedy.restarts, together=2)
    first = network.run(problem, posed.search_grid, posed.phases)
    lost = torch.zeros(6, dtype=torch.bool).index_fill(0, torch.tensor([1, 4]), True)
    sources = first.model.sources
    nothing = replace(sources, used=torch.zeros_like(sources.used), reflectivity=0 * sources.reflectivity)
    spoilt = choose(lost, replace(first, joint=started(nothing, problem)), first)
    exceeding = ~consistent(spoilt.model, problem)
    assert bool(exceeding[lost].all())
    asked = []

    def second(scenes: torch.Tensor) -> tuple[NodePhases, torch.Tensor]:
        asked.append(scenes)
        return posed.phases[scenes], torch.ones_like(scenes, dtype=torch.bool)

    def run(part: Problem, around: SearchGrid, phases: NodePhases) -> GreedyState:
        return network.run(part, around, phases)

    best = restarts.search(spoilt, problem, posed.search_grid, second, run, settings).best
    assert [scenes.tolist() for scenes in asked] == [exceeding.nonzero()[:, 0].tolist()]
    torch.testing.assert_close(best.model.cost, first.model.cost)


@pytest.mark.filterwarnings("error::unfolded_ogamp.imaging.assembly.outcome.MismatchWarning")
def test_scenes_of_the_model_with_lines_of_sight_are_no_mismatch() -> None:
    scenario = Scenario(n_tx=14, n_rx=14, pixels=(7, 7), los=True, missing_links=0.2, n_subcarriers=3)
    scene, csi = draw(scenario, 4, torch.Generator().manual_seed(5))
    network = UnfoldedOGAMP(NetworkSettings()).double()
    estimate = network(csi, scene.array, scene.grid)
    assert all(scene_metrics(scene, estimate, index, joint_bound(scene, index)).success for index in range(4))
