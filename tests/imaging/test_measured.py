"""Metrics of measured scenes: the true scatterers are perfect; moved and added ones are counted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hand_made import make_scene, truth_as_estimate

from unfolded_ogamp.imaging.estimate import Scatterers
from unfolded_ogamp.imaging.measured import measured_metrics
from unfolded_ogamp.physics import measure


def test_truth_is_perfect():
    scene = make_scene(missing=0.2)
    csi = measure(scene, torch.Generator().manual_seed(0))
    metrics = measured_metrics(csi, scene.array, truth_as_estimate(scene), scene)
    assert (metrics.n_true, metrics.found, metrics.false) == (3, 3, 0)
    assert metrics.phase_rmse == pytest.approx(0, abs=1e-12)
    assert metrics.strongest == pytest.approx(0, abs=1e-12)
    assert math.isnan(metrics.strongest_false_db)
    assert metrics.residual_over_noise == pytest.approx(1)
    power = float(csi.value[csi.link].abs().square().mean())
    assert metrics.residual_db == pytest.approx(10 * math.log10(float(scene.noise_variance) / power))


def test_what_is_moved_is_false_beyond_a_quarter_of_a_wavelength():
    apart = torch.tensor([[[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5]]], dtype=torch.float64)
    scene = replace(make_scene(), position=apart)
    csi = measure(scene, torch.Generator().manual_seed(0))
    strength = scene.reflectivity[0].abs()
    first, second = strength.argsort(descending=True)[:2].tolist()
    position = scene.position[0].clone()
    position[first, 0] += 0.07  # the wavelength is 0.2998 m
    position[second, 1] += 0.08
    exact = truth_as_estimate(scene)
    moved = replace(exact, scatterers=[replace(exact.scatterers[0], position=position)])
    metrics = measured_metrics(csi, scene.array, moved, scene)
    assert (metrics.found, metrics.false) == (2, 1)
    assert metrics.strongest == pytest.approx(0.07)
    assert metrics.strongest_false_db == pytest.approx(20 * math.log10(float(strength[second] / strength[first])))


def test_phase_error_of_one_node_spreads_over_its_links_without_the_gauge():
    scene = make_scene(n_tx=6, n_rx=5)
    csi = measure(scene, torch.Generator().manual_seed(0))
    exact = truth_as_estimate(scene)
    tx_phase = exact.tx_phase + 1.0
    tx_phase[0, 2] += 0.3
    metrics = measured_metrics(csi, scene.array, replace(exact, tx_phase=tx_phase), scene)
    assert metrics.phase_rmse == pytest.approx(0.3 * math.sqrt(1 / 6 * 5 / 6), rel=1e-2)


def test_what_is_not_known_is_nan():
    scene = make_scene()
    csi = replace(measure(scene, torch.Generator().manual_seed(0)), noise_variance=None)
    none = Scatterers.points(torch.zeros(0, 2), torch.zeros(0, 2), torch.zeros(0).to(torch.complex128), torch.zeros(0))
    empty = replace(truth_as_estimate(scene), scatterers=[none])
    metrics = measured_metrics(csi, scene.array, empty, replace(scene, tx_phase=None))
    assert (metrics.found, metrics.false) == (0, 0)
    assert math.isnan(metrics.phase_rmse)
    assert math.isnan(metrics.strongest)
    assert math.isnan(metrics.residual_over_noise)
