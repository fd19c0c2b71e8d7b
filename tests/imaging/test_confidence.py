"""What estimates say about themselves, counted on estimates made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hand_made import make_scene, truth_as_estimate, with_positions

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.confidence import determination
from unfolded_ogamp.imaging.score import SceneMetrics, scene_metrics

FAR = torch.tensor([[0.9, 0.9]]).double()


def of(scene, estimate, index=0) -> SceneMetrics:
    return scene_metrics(scene, estimate, index, joint_bound(scene, index))


def stating(estimate, probabilities: list[float]):
    """The estimate of the first scene with these probabilities."""
    scatterers = replace(estimate.scatterers[0], probability=torch.tensor(probabilities).double())
    return replace(estimate, scatterers=[scatterers, *estimate.scatterers[1:]])


def test_false_scatterers_are_counted_among_confident_ones_only():
    scene = make_scene(n_tx=12, n_rx=12)
    position = torch.cat([scene.position[0], FAR, -FAR])
    estimate = stating(with_positions(truth_as_estimate(scene), [position]), [0.99, 0.96, 0.9, 0.97, 0.94])
    metrics = of(scene, estimate)
    assert (metrics.missed, metrics.false) == (0, 2)
    assert (metrics.confident, metrics.confident_false) == (3, 1)
    assert not metrics.silently_wrong  # two probabilities are not above 0.95


@pytest.mark.parametrize("wrong", ["false", "missed"])
def test_an_error_is_silent_unless_the_estimate_says_something(wrong):
    scene = make_scene(n_tx=12, n_rx=12)
    position = torch.cat([scene.position[0], FAR]) if wrong == "false" else scene.position[0, 1:]
    estimate = with_positions(truth_as_estimate(scene), [position])
    assert of(scene, estimate).silently_wrong
    assert of(scene, estimate).silently_wrong_in_reach
    assert not of(scene, stating(estimate, [1.0] * (len(position) - 1) + [0.9])).silently_wrong
    said = (
        {"converged": torch.tensor([False])},
        {"converged": torch.tensor([True]), "diagnosis": [("nodes on a line",)]},
    )
    for fields in said:
        metrics = of(scene, SimpleNamespace(**{**vars(estimate), **fields}))
        assert not metrics.silently_wrong
        assert metrics.converged == bool(fields["converged"][0])
        assert metrics.diagnosed == ("diagnosis" in fields)
    assert not of(scene, truth_as_estimate(scene)).silently_wrong


def test_each_scene_of_a_batch_has_its_own_fields():
    scene = make_scene(batch=2, n_tx=12, n_rx=12)
    wrong = with_positions(truth_as_estimate(scene), [FAR, FAR])
    fields = {"converged": torch.tensor([True, False]), "diagnosis": [(), ()]}
    estimate = SimpleNamespace(**{**vars(wrong), **fields})
    assert [of(scene, estimate, index).silently_wrong for index in (0, 1)] == [True, False]


def test_missed_scatterers_below_the_noise_are_out_of_reach():
    """The last of three scatterers is 40 dB weaker than the others, and the noise 25 dB."""
    scene = make_scene(n_tx=12, n_rx=12, snr_db=25.0)
    weak = scene.reflectivity * torch.tensor([1.0, 1.0, 1e-3])
    scene = replace(scene, reflectivity=weak)
    metrics = of(scene, with_positions(truth_as_estimate(scene), [scene.position[0, :2]]))
    assert metrics.silently_wrong
    assert not metrics.silently_wrong_in_reach
    assert metrics.genie == 0.0
    assert of(make_scene(n_tx=12, n_rx=12), truth_as_estimate(scene)).genie == 1.0


def test_an_empty_list_where_something_is_in_reach_is_silently_wrong():
    scene = make_scene(n_tx=12, n_rx=12)
    assert of(scene, with_positions(truth_as_estimate(scene), [FAR[:0]])).silently_wrong_in_reach


def test_equations_over_unknowns():
    """6 x 5 links are 60 real equations; 3 scatterers have 12 unknowns, 11 nodes 9 without and 10 with the LOS."""
    assert determination(make_scene()) == 60 / (12 + 9)
    assert determination(make_scene(los=True)) == 60 / (12 + 10)
    sparse = make_scene(missing=0.4)
    assert determination(sparse) == 2 * int(sparse.link.sum()) / 21


def test_spread_of_node_phases_does_not_depend_on_the_gauge():
    scene = make_scene(missing=0.2)
    zero = torch.zeros_like
    together = replace(scene, tx_phase=zero(scene.tx_phase) + 2.0, rx_phase=zero(scene.rx_phase) - 0.5)
    assert of(together, truth_as_estimate(together)).phase_spread < 1e-12
    one = together.tx_phase.clone()
    one[:, 2] += 0.01
    full = replace(together, tx_phase=one, link=torch.ones_like(scene.link))
    # one of 6 Tx off by e: a sixth of the links off by 5/6 of e, the others by 1/6
    assert of(full, truth_as_estimate(full)).phase_spread == pytest.approx(0.01 * math.sqrt(5) / 6, rel=1e-3)
