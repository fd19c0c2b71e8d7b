"""Convergence: the estimates after some blocks are those of the classic estimator that runs as long."""

from __future__ import annotations

from dataclasses import replace

import torch

from unfolded_ogamp.data import Scenario, evaluation_scenes
from unfolded_ogamp.estimators import AlternatingEstimator
from unfolded_ogamp.networks import NetworkSettings, UnfoldedOGAMP
from unfolded_ogamp.reproduction.curves import paper_settings
from unfolded_ogamp.reproduction.figure_9 import after_blocks

SMALL = Scenario(name="small", n_tx=8, n_rx=8, pixels=(6, 6), sparsity=0.06)


def test_estimates_after_blocks_are_the_classic_ones():
    paper = replace(paper_settings("og_amp_paper", SMALL.sparsity, 3), iterations=7, tolerance=0.0)
    unfolded = UnfoldedOGAMP(NetworkSettings(blocks=3, layers=7, analytic=paper))
    scene, csi = next(evaluation_scenes(SMALL, 2, 2, 0, torch.float64))
    unfolded.double()
    with torch.inference_mode():
        estimates = dict(after_blocks(unfolded, scene, csi, {1, 3}))
    assert list(estimates) == [1, 3]
    for count, estimate in estimates.items():
        classic = AlternatingEstimator(replace(paper, blocks=count))(csi, scene.array, scene.grid)
        torch.testing.assert_close(estimate.prediction, classic.prediction)
        torch.testing.assert_close(estimate.tx_phase, classic.tx_phase)
        assert estimate.history.residual.shape[1] == 7 * count
