"""The curves of every figure are the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unfolded_ogamp.evaluation.statistics import Statistic
from unfolded_ogamp.imaging.study import curves, figure_9, sweep
from unfolded_ogamp.imaging.study.figures_6_to_8 import CURVES, FIGURE_6, FIGURE_7, FIGURE_8
from unfolded_ogamp.imaging.study.sweep import curve_table, plain_table, statistic_rows


def made_up(labels, x, values):
    """Rows in which no two numbers are the same, points in falling order."""
    rows, number = [], 0
    for curve_metric in [(curve, metric) for metric, names in CURVES.items() for curve in names]:
        curve, metric = curve_metric
        for value in reversed(values):
            number += 1
            mean = number * 1e-3
            statistic = Statistic(mean, mean, 0.9 * mean, 1.2 * mean, 4)
            rows += statistic_rows({**labels, x: value, "curve": curve}, {metric: statistic})
    return rows


def expected(rows, x, curve, metric):
    chosen = [row for row in rows if row["curve"] == curve and row["metric"] == metric]
    return np.array(sorted((row[x], row["mean"]) for row in chosen))


@pytest.mark.parametrize("figure", [FIGURE_7, FIGURE_8], ids=["7", "8"])
def test_both_metrics_of_every_curve_are_drawn(figure):
    x = figure.quantity
    rows = made_up({}, x, [0.1, 0.2, 0.5])
    for axes, (metric, names) in zip(figure.draw(rows).axes, CURVES.items(), strict=True):
        assert [line.get_label() for line in axes.lines] == list(names)
        for line in axes.lines:
            np.testing.assert_allclose(line.get_xydata(), expected(rows, x, line.get_label(), metric))


def test_figure_6_has_a_column_per_sparsity_and_the_ends_of_the_paper_s_axes():
    parts = [made_up({"sparsity": sparsity}, "snr_db", [10.0, 25.0]) for sparsity in FIGURE_6.sparsities]
    parts[1] = [{**row, "mean": 2 * row["mean"]} for row in parts[1]]
    panels = FIGURE_6.draw(parts[0] + parts[1]).axes
    for column, rows in enumerate(parts):
        for row, (metric, top) in enumerate((("chamfer", 0.2), ("phase_rmse", 0.16 * math.pi))):
            lines = {line.get_label(): line for line in panels[2 * row + column].lines}
            network = expected(rows, "snr_db", curves.NETWORK, metric)
            np.testing.assert_allclose(lines[curves.NETWORK].get_xydata(), network)
            assert any(np.allclose(line.get_ydata(), top) for line in lines.values())


def test_figure_9_draws_what_does_not_alternate_as_levels():
    over_t = [
        row
        for curve in (curves.PAPER_MOVING, curves.PAPER_FIXED, curves.TUNED_IDEAL)
        for metric in ("residual_over_noise", "change")
        for row in statistic_rows({"part": "t", "iteration": 1.0, "curve": curve}, {metric: Statistic(2, 2, 1, 3, 4)})
    ]
    moving = made_up({"part": "T"}, "iteration", [1.0, 10.0])
    level = [{**row, "iteration": 0.0} for row in moving if row["curve"] in (curves.GREEDY, sweep.JOINT)]
    alternating = [row for row in moving if row["curve"] in (curves.PAPER, curves.TUNED, curves.NETWORK)]
    level = [row for number, row in enumerate(level) if number % 2 == 0]
    axes = figure_9.draw(over_t + alternating + level).axes[2]
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(
        lines[curves.TUNED].get_xydata(), expected(alternating, "iteration", curves.TUNED, "chamfer")
    )
    (greedy,) = (row["mean"] for row in level if row["curve"] == curves.GREEDY and row["metric"] == "chamfer")
    np.testing.assert_allclose(lines[curves.GREEDY].get_ydata(), greedy)


def test_tables_have_a_line_per_curve_and_a_gap_where_nothing_was_measured():
    rows = made_up({}, "pixel", [0.1, 0.2])
    missing = [row for row in rows if not (row["curve"] == curves.GREEDY and row["pixel"] == 0.1)]
    table = curve_table(missing, "pixel", "pixel [m]", "chamfer").splitlines()
    assert table[0] == "| chamfer [mm], n = 4 | pixel [m] 0.1 | pixel [m] 0.2 |"
    (greedy,) = (line for line in table if line.startswith(f"| {curves.GREEDY} |"))
    ((_, mean),) = expected(missing, "pixel", curves.GREEDY, "chamfer")
    assert greedy == f"| greedy | - | {1e3 * mean:.2f} [{900 * mean:.2f}, {1200 * mean:.2f}] |"
    assert (
        plain_table([{"a": 1.0, "b": "x"}, {"a": 0.123456}]) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 0.1235 |  |\n"
    )
