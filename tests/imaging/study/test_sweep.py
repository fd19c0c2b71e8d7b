"""A figure has the values of a comparison on the same scenes, and bounds in the same units."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
import torch

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.evaluation.compare import compare, summarise
from unfolded_ogamp.evaluation.point_sets import chamfer_distance, pairwise_distance
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SCORING
from unfolded_ogamp.imaging.study.curves import phases_known
from unfolded_ogamp.imaging.study.sweep import IMAGE_KNOWN, JOINT, METRICS, PHASES_KNOWN, Curve, Point, expected_chamfer
from unfolded_ogamp.imaging.study.sweep import sweep as run_sweep
from unfolded_ogamp.scenes import evaluation_scenes

SMALL = Scenario(name="small", n_tx=8, n_rx=8, pixels=(6, 6), sparsity=0.06)
SHORT = AlternatingEstimator(replace(PRESETS["og_amp"](), blocks=4))


def values(rows, curve, metric):
    return [row for row in rows if row["curve"] == curve and row["metric"] == metric]


def test_rows_are_the_comparison_and_ideal_curves_have_no_offsets():
    curves = [Curve("offsets", SHORT), Curve("ideal", SHORT, ideal=True)]
    seen: list[tuple[int, int]] = []
    point = Point({"snr_db": 25.0}, SMALL, curves)
    rows = run_sweep([point], 3, seed=4, on_progress=lambda done, total: seen.append((done, total)))
    for name, scenario in (("offsets", SMALL), ("ideal", replace(SMALL, phase_std=0.0))):
        (expected,) = summarise(compare({name: SHORT}, evaluation_scenes(scenario, 3, 3, 4), "small", SCORING))
        for metric in METRICS:
            (row,) = values(rows, name, metric)
            assert row["snr_db"] == 25.0
            statistic = asdict(expected.statistics[metric])
            assert {key: row[key] for key in statistic} == pytest.approx(statistic, nan_ok=True)
    assert values(rows, "ideal", "phase_rmse")[0]["mean"] != values(rows, "offsets", "phase_rmse")[0]["mean"]
    assert seen[-1] == (6, 6)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_bounds_are_ordered_and_averaged_over_the_scenes():
    rows = run_sweep([Point({}, SMALL, [])], 3, seed=4)
    bounds = [joint_bound(scene, 0) for scene, _ in evaluation_scenes(SMALL, 3, 1, 4, torch.float64)]
    (joint,) = values(rows, JOINT, "phase_rmse")
    assert joint["mean"] == pytest.approx(math.fsum(bound.phase_rms for bound in bounds) / 3)
    assert joint["n"] == 3
    # knowing more never raises a bound
    assert values(rows, IMAGE_KNOWN, "phase_rmse")[0]["mean"] < joint["mean"]
    assert values(rows, PHASES_KNOWN, "chamfer")[0]["mean"] < values(rows, JOINT, "chamfer")[0]["mean"]


def test_expected_chamfer_is_the_mean_over_gaussian_errors():
    generator = torch.Generator().manual_seed(0)
    std = torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.5, 0.5]], dtype=torch.float64) * 1e-3
    true = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    drawn = []
    for _ in range(4000):
        estimated = true + std * torch.randn(3, 2, dtype=torch.float64, generator=generator)
        drawn.append(chamfer_distance(pairwise_distance(true, estimated, 2.0), 2.0))
    assert expected_chamfer(std) == pytest.approx(math.fsum(drawn) / len(drawn), rel=0.02)


def test_known_phases_stay_where_they_are():
    estimator = AlternatingEstimator(phases_known(PRESETS["og_amp"](), blocks=6))
    scene, csi = next(evaluation_scenes(SMALL, 2, 2, 0))
    estimate = estimator(csi, scene.array, scene.grid)
    assert float(estimate.tx_phase.abs().max()) < 1e-6
    assert estimate.history.residual.shape[1] == 12  # no tolerance on the phases stops it
