"""The study of the phase error after coarse synchronisation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_network import small_network

from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study import coarse
from unfolded_ogamp.imaging.study.sweep import Size
from unfolded_ogamp.physics import measure
from unfolded_ogamp.system import Row

SMALL = replace(coarse.END_TO_END, n_tx=8, n_rx=8, bandwidth=20e6)
SWEEPS = {
    "snr_db": coarse.Sweep("signal-to-noise ratio [dB]", 1.0, (0.0, 20.0)),
    "blocked_los": coarse.Sweep("links without a line of sight [%]", 0.01, (0.0, 0.5)),
}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(coarse, "END_TO_END", SMALL)
    monkeypatch.setattr(coarse, "SWEEPS", SWEEPS)


def value(rows: list[Row], curve: str, sweep: str, at: float) -> float:
    (row,) = [row for row in rows if (row["curve"], row["sweep"], row["value"]) == (curve, sweep, at)]
    return float(row["median"])


@pytest.mark.usefixtures("small")
def test_noise_is_ten_times_less_at_20_db_more_and_the_error_from_scattering_is_unchanged():
    progress = []
    rows = coarse.measure(Size(3), 0, small_network(), lambda done, total: progress.append((done, total)))
    assert progress == [(done, 12) for done in range(1, 13)]
    assert value(rows, coarse.NOISE, "snr_db", 0.0) == pytest.approx(
        10 * value(rows, coarse.NOISE, "snr_db", 20.0), rel=0.2
    )
    assert value(rows, coarse.NODES, "snr_db", 0.0) == pytest.approx(value(rows, coarse.NODES, "snr_db", 20.0), rel=0.2)
    assert value(rows, coarse.NODES, "blocked_los", 0.0) < value(rows, coarse.NODES, "blocked_los", 0.5)
    assert value(rows, coarse.NODES, "snr_db", 0.0) < value(rows, coarse.LINKS, "snr_db", 0.0)


def test_residual_of_a_link_by_itself_is_the_angle_that_one_echo_adds():
    """An echo in the tap of the line of sight turns it by the angle of 1 + echo / line of sight."""
    scenario = Scenario(n_tx=1, n_rx=2, phase_model="clocks", los=True, bandwidth=2e6)
    scene = draw_scene(scenario, 1, torch.Generator().manual_seed(1))
    quiet = replace(scene, position=scene.position[:, :1], reflectivity=5 * scene.reflectivity[:, :1])
    quiet = replace(quiet, noise_variance=0 * quiet.noise_variance)
    csi = measure(quiet, torch.Generator())
    alone = measure(replace(quiet, reflectivity=0 * quiet.reflectivity), torch.Generator())
    turn = (csi.value / alone.value).angle()[0, 0, :, scenario.n_band // 2]
    # the mean of both links is the gauge
    expected = math.sqrt(float((turn - turn.mean()).square().mean()))
    assert expected > 0.05
    assert coarse.link_residual(quiet, csi) == pytest.approx(expected, rel=0.1)


@pytest.mark.usefixtures("small")
def test_figure_shows_the_rows():
    rows = [
        {"sweep": sweep, "value": at, "curve": curve, "n": 7, "within": 1.0}
        | {"median": 0.1 * (1 + number), "quantile_95": 0.2 * (1 + number)}
        for sweep in SWEEPS
        for number, at in enumerate(SWEEPS[sweep].values)
        for curve in coarse.STYLES
    ]
    figure = coarse.draw(rows)
    assert len(figure.axes) == 2
    for axes in figure.axes:
        shown = {str(line.get_label()): line for line in axes.lines}
        for curve in coarse.STYLES:
            np.testing.assert_allclose(shown[curve].get_ydata(), [0.1, 0.2])
    np.testing.assert_allclose(figure.axes[1].lines[0].get_xdata(), [0.0, 50.0])
    assert "7 scenes" in figure.get_suptitle()


def test_summary_counts_errors_below_the_assumed_one():
    found = coarse.summary([0.1, 0.2, 0.9, 0.3])
    assert found == {"median": 0.2, "quantile_95": pytest.approx(0.81), "within": 0.75, "n": 4}
