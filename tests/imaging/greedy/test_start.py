"""Sources that a start keeps beside extended targets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import pose_scene

from unfolded_ogamp.imaging.greedy import rounds, start
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.mismatch import correction
from unfolded_ogamp.imaging.model import Correction, evaluate
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import link_phase, measure, nlos_channel

SETTINGS = GreedySettings()
SCENARIO = Scenario(n_tx=20, n_rx=20, pixels=(10, 10), sparsity=0.03, snr_db=35.0)


@pytest.mark.parametrize(("share", "stays"), [(0.07, False), (0.5, True)])
def test_beside_rough_targets_a_point_needs_a_large_share_of_the_residual(share: float, stays: bool) -> None:
    """Two targets with a speckle of 30 % on their links, and a true point with a given share of the speckle power."""
    generator = torch.Generator().manual_seed(1)
    scene = draw_scene(SCENARIO, 2, generator)
    place = torch.tensor([[-0.7, -0.6], [0.6, -0.5], [0.0, 0.7]], dtype=torch.float64)
    scene = replace(scene, position=place.expand(2, -1, -1))
    echo, point = (
        nlos_channel(scene.array, scene.position[:, part], scene.reflectivity[:, part])
        for part in (slice(2), slice(2, 3))
    )
    gain = torch.view_as_complex(torch.randn(2, 20, 20, 2, generator=generator, dtype=torch.float64)) / 2**0.5
    speckle = 0.3 * gain[..., None] * echo
    level = speckle.abs().square().sum((1, 2, 3)) / point.abs().square().sum((1, 2, 3))
    reflectivity = scene.reflectivity.clone()
    reflectivity[:, 2] *= (share * level).sqrt()
    scene = replace(scene, reflectivity=reflectivity)
    csi = measure(scene, generator)
    turn = torch.polar(torch.ones_like(speckle.real), -link_phase(scene.tx_phase, scene.rx_phase))
    *_, problem, truth = pose_scene(scene, replace(csi, value=csi.value + speckle * turn))
    extended = replace(Correction.none(problem), extended=torch.ones(2, dtype=torch.bool))
    state = rounds.all_running(correction.refit(evaluate(truth, problem, extended), problem))
    kept = start.prune_by_jackknife(state, problem, SETTINGS).model.sources
    assert kept.used.sum(1).tolist() == [3 if stays else 2] * 2
