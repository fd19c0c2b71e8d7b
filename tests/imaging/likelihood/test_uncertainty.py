"""Standard deviations of positions and node phases agree with the errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unfolded_ogamp.evaluation.point_sets import match, pairwise_distance
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import node_phase_error


def test_standard_deviation_covers_the_error_of_the_converged_estimate():
    scenario = Scenario(n_tx=20, n_rx=20, pixels=(10, 10), sparsity=0.04)
    scene, csi = draw(scenario, 20, torch.Generator().manual_seed(0))
    estimate = AlternatingEstimator(PRESETS["og_amp"]())(csi, scene.array, scene.grid)
    ratios = []
    for index, found in enumerate(estimate.scatterers):
        true, estimated = match(pairwise_distance(scene.position[index], found.position, 9.0), gate=0.03)
        error = found.position[estimated] - scene.position[index, true]
        ratios.append((error / found.position_std[estimated]).flatten())
    ratio = torch.cat(ratios)
    assert len(ratio) > 100
    assert 0.7 < float(ratio.abs().median()) / 0.6745 < 1.8


@pytest.mark.parametrize("los", [False, True])
def test_standard_deviation_of_node_phases_covers_their_error(los):
    """Root mean square of error over standard deviation, over scenes and nodes, without the unobservable phases."""
    scenario = Scenario(n_tx=14, n_rx=13, pixels=(8, 8), sparsity=0.06, missing_links=0.2, los=los)
    ratios = []
    for seed in range(20):
        scene, csi = draw(scenario, 1, torch.Generator().manual_seed(seed))
        scene, csi = scene.to(torch.float64), csi.to(torch.float64)
        estimate = GreedyEstimator()(csi, scene.array, scene.grid)
        std = phase_std(estimate)
        tx_error, rx_error = estimate.tx_phase - scene.tx_phase, estimate.rx_phase - scene.rx_phase
        ratios.append(node_phase_error(tx_error[0], rx_error[0], scene.link[0]) / std)
    assert float(torch.cat(ratios).square().mean().sqrt()) == pytest.approx(1.0, abs=0.12)


def test_node_phases_are_unknown_without_scatterers():
    scene, csi = draw(Scenario(n_tx=5, n_rx=4, pixels=(6, 6)), 1, torch.Generator().manual_seed(0))
    silent = replace(csi, value=torch.zeros_like(csi.value))
    for estimator in (GreedyEstimator(), AlternatingEstimator(PRESETS["og_amp"]())):
        std = phase_std(estimator(silent, scene.array, scene.grid))
        assert bool(std.isinf().all())
    assert bool(phase_std(GreedyEstimator()(csi, scene.array, scene.grid)).isfinite().all())


def phase_std(estimate):
    return torch.cat([estimate.tx_phase_std[0], estimate.rx_phase_std[0]])
