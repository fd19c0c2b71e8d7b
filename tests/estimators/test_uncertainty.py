"""The standard deviation of a position is what its error shows."""

from __future__ import annotations

import torch

from unfolded_ogamp.data import Scenario, draw
from unfolded_ogamp.estimators import PRESETS, AlternatingEstimator
from unfolded_ogamp.evaluation import match, pairwise_distance


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
