"""Near-field terms of the line of sight stay only in scenes that need them beside the sources."""

from __future__ import annotations

from dataclasses import replace

import torch
from problems import pose_scene, posed

from unfolded_ogamp.imaging.greedy import rounds
from unfolded_ogamp.imaging.greedy.estimator import prune_near_field
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.mismatch import correction
from unfolded_ogamp.imaging.model import Correction, evaluate
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import link_phase, phasor

SCENARIO = Scenario(n_tx=12, n_rx=12, pixels=(8, 8), sparsity=0.05, snr_db=30.0, los=True)


def test_near_field_terms_are_removed_where_they_only_fit_noise() -> None:
    """The line of sight of the second scene is that of dipoles perpendicular to the plane."""
    scene, csi, *_ = posed(SCENARIO, 2, seed=0)
    length = torch.cdist(scene.array.tx, scene.array.rx)[..., None] * scene.array.wavenumber[:, None, None]
    terms = csi.los_channel * (1 / (1j * length) - 1 / length.square())
    terms[0] = 0
    csi = replace(csi, value=csi.value + terms * phasor(-link_phase(scene.tx_phase, scene.rx_phase)))
    *_, problem, truth = pose_scene(scene, csi)
    assumed = replace(Correction.none(problem), near_field=torch.tensor([True, True]))
    state = rounds.all_running(correction.refit(evaluate(truth, problem, assumed), problem))
    kept = prune_near_field(state, problem, GreedySettings()).model
    assert kept.correction.near_field.tolist() == [False, True]
    assert float(kept.correction.count[0]) == 0
    assert not kept.correction.channel[0].any()
    torch.testing.assert_close(kept.correction.channel[1], state.model.correction.channel[1])
