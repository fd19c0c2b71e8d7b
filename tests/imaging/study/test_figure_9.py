"""Convergence: the estimates after some blocks are those of the classic estimator that runs as long."""

from __future__ import annotations

from dataclasses import replace

import torch

from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study.curves import paper_settings
from unfolded_ogamp.imaging.study.figure_9 import after_blocks
from unfolded_ogamp.scenes import evaluation_scenes

SMALL = Scenario(name="small", n_tx=8, n_rx=8, pixels=(6, 6), sparsity=0.06)


def test_estimates_after_blocks_are_the_classic_ones():
    paper = replace(paper_settings("og_amp_paper", SMALL.sparsity, 3), iterations=7, tolerance=0.0)
    scene, csi = next(evaluation_scenes(SMALL, 2, 2, 0, torch.float64))
    with torch.inference_mode():
        estimates = dict(after_blocks(AlternatingEstimator(paper), scene, csi, {1, 3}))
    assert list(estimates) == [1, 3]
    for count, estimate in estimates.items():
        classic = AlternatingEstimator(replace(paper, blocks=count))(csi, scene.array, scene.grid)
        torch.testing.assert_close(estimate.prediction, classic.prediction)
        torch.testing.assert_close(estimate.tx_phase, classic.tx_phase)
        assert estimate.history.residual.shape[1] == 7 * count


def test_the_last_estimate_of_the_network_is_that_of_one_start():
    scene, csi = next(evaluation_scenes(SMALL, 2, 2, 0, torch.float64))
    network = UnfoldedOGAMP(NetworkSettings(blocks=3, first_exit=3, starts=1)).double()
    with torch.inference_mode():
        estimates = dict(after_blocks(network, scene, csi, {2, 3}))
        whole = network(csi, scene.array, scene.grid)
    assert list(estimates) == [2, 3]
    torch.testing.assert_close(estimates[3].prediction, whole.prediction)
