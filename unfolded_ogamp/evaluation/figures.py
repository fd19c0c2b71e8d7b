"""Figures for every system: learned parameters by layer, and coverage of confidence regions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unfolded_ogamp.evaluation.compare import Summary
from unfolded_ogamp.evaluation.statistics import LEVELS
from unfolded_ogamp.evaluation.style import BEFORE, COLOURS, MIDDLE, SMALL, soft_frame

MARKERS = "os^"  # the next marker when all colours are used
WIDTH = 0.7  # width of all points of one level, as a share of the distance of levels


def parameter_figure(learned: Mapping[str, Sequence[float]], start: Mapping[str, Sequence[float]]) -> Figure:
    """One panel per learned parameter, by layer; dashed lines are the analytic initial values."""
    n_columns = min(4, max(1, len(learned)))
    n_rows = max(1, math.ceil(len(learned) / n_columns))
    figure = Figure(figsize=(4.0 * n_columns, 2.9 * n_rows + 0.5), layout="constrained", facecolor="white")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).flat
    for axes, (name, values) in zip(panels, learned.items(), strict=False):
        layer = range(1, len(values) + 1)
        axes.plot(layer, start[name], "--", color=BEFORE, linewidth=2, label="analytic")
        axes.plot(layer, values, "o-", color=COLOURS[1], linewidth=2, markersize=5, label="learned")
        axes.set_title(name, fontsize=MIDDLE)
        soft_frame(axes)
        axes.margins(y=0.15)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelbottom=True)
    for axes in figure.axes[len(learned) :]:
        axes.set_axis_off()
    figure.supxlabel("layer", fontsize=MIDDLE)
    if learned:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=SMALL, frameon=False)
    return figure


def reliability_figure(summaries: Sequence[Summary], regions: Mapping[str, str]) -> Figure:
    """Empirical minus nominal coverage of the 50, 90 and 99 % confidence regions, with 95 % intervals.

    One point per level, estimator and scenario, and a panel for each of the `regions`, see `Scoring`.
    """
    figure = Figure(figsize=(3.0 + 4.0 * len(regions), 5.2), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(regions), sharey=True, squeeze=False)[0]
    for axes, (kind, title) in zip(panels, regions.items(), strict=True):
        axes.axhline(0, linestyle="--", color=BEFORE, linewidth=2, label="nominal coverage")
        for index, summary in enumerate(summaries):
            found = [summary.statistics[f"{kind}_inside_{round(100 * level)}"] for level in LEVELS]
            mean = [100 * (each.mean - level) for each, level in zip(found, LEVELS, strict=True)]
            spread = [[100 * (s.mean - s.low) for s in found], [100 * (s.high - s.mean) for s in found]]
            place = [number + WIDTH * ((index + 0.5) / len(summaries) - 0.5) for number in range(len(LEVELS))]
            turn, colour = divmod(index, len(COLOURS))
            label, marker = f"{summary.estimator}, {summary.scenario}", MARKERS[turn % len(MARKERS)]
            axes.errorbar(place, mean, spread, fmt=marker, color=COLOURS[colour], capsize=3, label=label)
        axes.set_title(title, fontsize=MIDDLE)
        axes.set_xlabel("nominal coverage [%]", fontsize=MIDDLE)
        axes.set_xticks(range(len(LEVELS)), [f"{100 * level:.0f}" for level in LEVELS])
        soft_frame(axes)
    figure.axes[0].set_ylabel("empirical - nominal coverage, 95 % interval [%]", fontsize=MIDDLE)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=SMALL, frameon=False)
    return figure
