"""The toy example: the scenes of its panels, and the picture of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_network import small_network

from unfolded_ogamp.imaging.study import figure_5
from unfolded_ogamp.imaging.study.sweep import Size
from unfolded_ogamp.scenes import evaluation_scenes


@pytest.fixture(scope="module")
def rows():
    torch.manual_seed(0)
    return figure_5.measure(Size(2), 0, small_network())


def of(rows, panel, metric):
    return [row for row in rows if row["panel"] == panel and row["metric"] == metric]


def test_panels_are_the_combinations_of_the_paper():
    panels = figure_5.panels(small_network())
    assert [panel.letter for panel in panels] == list("abcdefghijkl")
    assert [panel.scenario.off_grid for panel in panels[:8]] == [False, False] + 6 * [True]
    assert [panel.scenario.phase_std > 0 for panel in panels[:8]] == [
        False,
        True,
        False,
        True,
        False,
        False,
        True,
        True,
    ]
    settings = [panel.estimator.settings for panel in panels[:8]]
    assert [setting.imaging.shared_activity for setting in settings] == 4 * [False] + 4 * [True]
    assert [setting.imaging.recentre_every > 0 for setting in settings] == 5 * [False] + 3 * [True]
    assert [setting.blocks for setting in settings] == 7 * [1] + [10]
    assert [panel.printed for panel in panels[:8]] == [0.0375, 0.1120, 0.1612, 0.1854, 0.1144, 0.0413, 0.1395, 0.0453]


def test_on_grid_gamp_without_offsets_finds_all(rows):
    (success,) = of(rows, "a", "success")
    assert success["mean"] == 1.0
    assert of(rows, "a", "chamfer")[0]["mean"] < 0.005


def test_picture_is_the_first_scene(rows):
    scene, _ = next(evaluation_scenes(figure_5.TOY, 1, 1, 0))
    true = np.array([(row["x"], row["y"]) for row in of(rows, "h", "true")])
    np.testing.assert_allclose(true, scene.position[0].numpy())
    figure = figure_5.draw(rows)
    axes = next(axes for axes in figure.axes if axes.get_title().startswith("(h)"))
    (image,) = axes.images
    probability = np.array([row["value"] for row in of(rows, "h", "pixel")])
    column, line = ((scene.grid.centre[0].numpy() + 0.9) / 0.2).round().astype(int).T
    np.testing.assert_allclose(image.get_array()[line, column], probability)
    crosses = axes.collections[1].get_offsets()
    np.testing.assert_allclose(crosses, true)


def test_distances_show_median_and_what_is_printed(rows):
    figure = figure_5.draw(rows)
    axes = next(axes for axes in figure.axes if axes.get_xlabel().startswith("chamfer"))
    points = {(round(float(y)), line.get_marker()): float(x) for line in axes.lines for x, y in [line.get_xydata()[0]]}
    (median,) = (row["median"] for row in of(rows, "g", "chamfer"))
    assert points[6, "o"] == pytest.approx(median)
    assert points[6, "X"] == 0.1395
    assert (8, "X") not in points


def test_median_interval_holds_the_median_of_most_samples():
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        row = figure_5.distribution(generator.exponential(size=41))
        held += row["median_low"] <= np.log(2) <= row["median_high"]
    assert 0.93 <= held / 400 <= 0.99
    assert figure_5.distribution(np.array([np.nan])) == {"n": 0}


def test_table_has_the_printed_numbers_beside_the_medians(rows):
    line = next(line for line in figure_5.table(rows).splitlines() if line.startswith("| f |"))
    (chamfer,) = of(rows, "f", "chamfer")
    assert "| 0.0413 |" in line
    assert f"{chamfer['median']:.4f} [{chamfer['median_low']:.4f}, {chamfer['median_high']:.4f}]" in line
