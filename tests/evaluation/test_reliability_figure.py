"""The reliability diagram shows empirical minus nominal coverage."""

from __future__ import annotations

import pytest

from unfolded_ogamp.evaluation.compare import Summary
from unfolded_ogamp.evaluation.figures import reliability_figure
from unfolded_ogamp.evaluation.statistics import LEVELS, Statistic
from unfolded_ogamp.imaging.score import SCORING

NAMES = [f"{kind}_inside_{round(100 * level)}" for kind in ("position", "phase") for level in LEVELS]


def summary(scenario: str, shift: float) -> Summary:
    """Empirical coverage that exceeds the nominal one by `shift`, with intervals of -0.02 ... +0.01."""
    mean = [level + shift for level in (*LEVELS, *LEVELS)]
    statistics = {n: Statistic(m, m, m - 0.02, m + 0.01, 30) for n, m in zip(NAMES, mean, strict=True)}
    return Summary(scenario, "unfolded", 30, statistics, 10, 1)


@pytest.mark.parametrize("count", [1, 9])
def test_points_and_intervals_are_what_was_counted(count: int) -> None:
    shifts = [0.001 * number for number in range(count)]
    figure = reliability_figure([summary(f"s{number}", shift) for number, shift in enumerate(shifts)], SCORING.regions)
    for axes in figure.axes:
        drawn = {tuple(round(float(y), 6) for y in bar.lines[0].get_ydata()) for bar in axes.containers}
        assert drawn == {tuple([round(100 * shift, 6)] * len(LEVELS)) for shift in shifts}
        segments = axes.containers[0].lines[2][0].get_segments()
        assert [tuple(part[:, 1].round(6)) for part in segments] == [(-2.0, 1.0)] * len(LEVELS)
        styles = {(bar.lines[0].get_color(), bar.lines[0].get_marker()) for bar in axes.containers}
        assert len(styles) == count  # all styles differ
