"""From arbitrary clocks to scatterers and phases: coarse synchronisation, then joint refinement."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.sampler import coarsely_synchronised, draw, draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import scene_metrics
from unfolded_ogamp.physics import Csi, Scene, link_phase, link_phase_error, measure

SCENARIO = Scenario(
    n_tx=16, n_rx=16, pixels=(12, 12), phase_model="clocks", los=True, blocked_los=0.3, bandwidth=60e6, sparsity=0.04
)
BLOCKED_TX, BLOCKED_RX = 3, [0, 9]


@pytest.fixture(scope="module")
def scenes() -> tuple[Scene, Csi]:
    """Three scenes in which one Tx and two Rx have no line of sight at all."""
    generator = torch.Generator().manual_seed(0)
    wide = draw_scene(SCENARIO, 3, generator)
    los = wide.los.clone()
    los[:, BLOCKED_TX] = los[:, :, BLOCKED_RX] = False
    wide = replace(wide, los=los)
    return coarsely_synchronised(wide, measure(wide, generator), SCENARIO.n_subcarriers, subtract_los=False)


@pytest.fixture(scope="module")
def greedy(scenes) -> Estimate:
    scene, csi = scenes
    return GreedyEstimator()(csi, scene.array, scene.grid)


def test_joint_refinement_ends_on_the_bound(scenes, greedy):
    scene, _ = scenes
    for index in range(3):
        metrics = scene_metrics(scene, greedy, index, joint_bound(scene, index))
        assert metrics.success
        assert metrics.phase_efficiency < 1.3
        assert metrics.position_efficiency < 1.6


def test_phases_without_a_line_of_sight_come_from_scattering(scenes, greedy):
    """Their errors exceed a radian before the estimation; afterwards they are as small as those of the other nodes."""
    scene, _ = scenes
    true = link_phase(scene.tx_phase, scene.rx_phase)
    before = link_phase_error(torch.zeros_like(true), true, scene.link)
    after = link_phase_error(link_phase(greedy.tx_phase, greedy.rx_phase), true, scene.link)
    assert before[:, BLOCKED_TX].square().mean().sqrt() > 1.0
    assert after[:, BLOCKED_TX].square().mean().sqrt() < 0.04
    assert after[:, :, BLOCKED_RX].square().mean().sqrt() < 0.04


@pytest.mark.parametrize("name", ["greedy", "og_amp"])
def test_estimate_names_the_nodes_without_a_line_of_sight(name, scenes, greedy):
    scene, csi = scenes
    settings = replace(PRESETS["og_amp"](), blocks=1, iterations=1)
    estimate = greedy if name == "greedy" else AlternatingEstimator(settings)(csi, scene.array, scene.grid)
    for without in estimate.tx_without_los:
        assert without.nonzero()[:, 0].tolist() == [BLOCKED_TX]
    for without in estimate.rx_without_los:
        assert without.nonzero()[:, 0].tolist() == BLOCKED_RX


def test_no_node_is_named_if_none_has_a_line_of_sight():
    """The same holds for a line of sight that is known but not trusted."""
    scene, csi = draw(replace(SCENARIO, bandwidth=None, phase_model="residual"), 1, torch.Generator().manual_seed(0))
    settings = replace(PRESETS["og_amp"](), blocks=1, iterations=1)
    doubted = replace(csi, los_trusted=torch.zeros_like(csi.los_trusted))
    blind = replace(doubted, los=doubted.los_trusted, value=csi.value - csi.los_channel * csi.los[..., None])
    for one in (doubted, blind):
        estimate = AlternatingEstimator(settings)(one, scene.array, scene.grid)
        assert not estimate.tx_without_los.any()
        assert not estimate.rx_without_los.any()
