"""Comparisons: equal scenes for all estimators, fair timing, and correct intervals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_made import CONFIDENCE, make_scene, truth_as_estimate, with_positions

from unfolded_ogamp.evaluation.compare import Row, compare, summarise
from unfolded_ogamp.evaluation.statistics import pooled_share, wilson_interval
from unfolded_ogamp.imaging.score import SCORING, SceneMetrics
from unfolded_ogamp.physics import measure

PERFECT = SceneMetrics(
    1, 1, 0, 0, True, 0.001, 1.0, 0.01, 1.0, 0.002, 1e-6, 0.001, -30.0, 1.0, 0.5, 0.9, 1.0, 0.5, 0.9, 1.0, **CONFIDENCE
)


class Known:
    """An estimator that returns the true scenes with every scatterer moved by `shift`."""

    def __init__(self, scenes, shift):
        self.scenes, self.shift, self.calls = list(scenes), shift, []

    def __call__(self, csi, array, grid):
        assert torch.is_inference_mode_enabled()
        self.calls.append(csi.value)
        for scene in self.scenes:
            size = len(array.tx)
            if torch.equal(scene.array.tx[:size], array.tx) and torch.equal(scene.grid.centre[:size], grid.centre):
                truth = truth_as_estimate(scene)
                return with_positions(truth, [position + self.shift for position in scene.position])
        raise AssertionError("called on a scene that was not drawn")


def rows_with(values, name="chamfer", estimator="one"):
    return [
        Row("paper", scene, estimator, replace(PERFECT, **{name: value}), 0.5, 2, 1)
        for scene, value in enumerate(values)
    ]


def test_every_estimator_sees_the_same_batches_after_one_call_to_warm_up():
    scenes = [make_scene(seed=1, batch=3), make_scene(seed=2, batch=2)]
    batches = [(scene, measure(scene, torch.Generator().manual_seed(9))) for scene in scenes]
    estimators = {"exact": Known(scenes, 0.0), "shifted": Known(scenes, 0.003)}
    progress = []
    rows = compare(estimators, iter(batches), "toy", SCORING, lambda name, done: progress.append((name, done)))
    for estimator in estimators.values():
        inputs = [batches[0][1].value[:1], batches[0][1].value, batches[1][1].value]
        assert len(estimator.calls) == 3
        assert all(torch.equal(value, expected) for value, expected in zip(estimator.calls, inputs, strict=True))
    assert progress == [("exact", 3), ("shifted", 3), ("exact", 5), ("shifted", 5)]
    assert sorted((row.estimator, row.scene) for row in rows) == [(n, s) for n in estimators for s in range(5)]
    assert [row.batch_size for row in rows] == 6 * [3] + 4 * [2]
    assert all(row.scenario == "toy" and row.time > 0 and row.threads == torch.get_num_threads() for row in rows)
    for row in rows:
        expected = 0.0 if row.estimator == "exact" else 0.003 * math.sqrt(2)
        assert row.metrics.position_rmse == pytest.approx(expected, abs=1e-12)


def test_estimators_get_the_assumed_nodes_and_are_scored_with_the_true_ones():
    scene = make_scene(seed=1, batch=2)
    assumed = replace(scene.array, tx=scene.array.tx + 0.01)
    csi = measure(scene, torch.Generator().manual_seed(9))
    estimator = Known([replace(scene, array=assumed)], 0.0)
    rows = compare({"assumed": estimator}, [(replace(scene, assumed=assumed), csi)], "toy", SCORING)
    # the score uses the true nodes: a prediction from the assumed nodes has a channel error
    assert all(row.metrics.position_rmse == 0 and row.metrics.channel_nmse_db > -30 for row in rows)


def test_summary_groups_and_counts():
    rows = rows_with([1.0, 2.0, 6.0]) + rows_with([5.0], estimator="two")
    one, two = summarise(rows)
    assert (one.estimator, one.n_scenes, one.batch_size, one.threads) == ("one", 3, 2, 1)
    chamfer = one.statistics["chamfer"]
    assert (chamfer.mean, chamfer.median, chamfer.n) == (3.0, 2.0, 3)
    assert 1.0 <= chamfer.low < 3.0 < chamfer.high <= 6.0
    assert two.statistics["chamfer"].low == two.statistics["chamfer"].high == 5.0
    assert one.statistics["time"].mean == 0.5


def test_nan_is_excluded_and_not_counted():
    (summary,) = summarise(rows_with([1.0, math.nan, 3.0], "position_rmse"))
    assert (summary.statistics["position_rmse"].mean, summary.statistics["position_rmse"].n) == (2.0, 2)
    assert summary.n_scenes == 3
    (summary,) = summarise(rows_with([math.nan], "position_rmse"))
    assert summary.statistics["position_rmse"].n == 0
    assert math.isnan(summary.statistics["position_rmse"].mean)


def test_bootstrap_interval_of_many_normal_values_is_the_normal_one():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    (summary,) = summarise(rows_with(values.tolist()))
    half = 1.96 * values.std() / math.sqrt(400)
    assert summary.statistics["chamfer"].low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert summary.statistics["chamfer"].high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert summarise(rows_with(values.tolist())) == [summary]  # the seed is fixed


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (15, 148, 0.0624, 0.1605), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_interval_textbook_values(successes, n, low, high):
    """0 and 10 of 10: 3.8415 / 13.8415; 15/148 and 81/263: Newcombe (1998), method 3."""
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=6e-5)


def test_pooled_share_counts_items_and_resamples_scenes():
    """Scenes of 10 items that are all false or all true: the interval is that of scenes, not of items."""
    share = pooled_share([10] * 20 + [0] * 80, [10] * 100)
    assert (share.mean, share.n) == (0.2, 1000)
    assert (share.low, share.high) == pytest.approx((0.2 - 1.96 * 0.04, 0.2 + 1.96 * 0.04), abs=0.012)
    # scenes count by their items, and one without items counts nothing
    assert pooled_share([1, 0, 0], [1, 9, 0]).mean == pytest.approx(0.1)
    # equal outcomes have the interval of independent items
    share = pooled_share([0.0] * 10, [1.0] * 10)
    assert (share.low, share.high) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert pooled_share([], []).n == pooled_share([0], [0]).n == 0


def test_success_has_an_interval_with_width():
    (summary,) = summarise(rows_with([True] * 10, "success"))
    success = summary.statistics["success"]
    assert (success.mean, success.n) == (1.0, 10)
    assert (success.low, success.high) == pytest.approx((0.7225, 1.0), abs=1e-4)
