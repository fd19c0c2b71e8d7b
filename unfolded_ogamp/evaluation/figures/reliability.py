"""Reliability diagram: how often the truth lies in a confidence region, against how often it should."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from unfolded_ogamp.evaluation.calibration import LEVELS
from unfolded_ogamp.evaluation.compare import Summary
from unfolded_ogamp.evaluation.figures.panels import BEFORE, COLOURS, MIDDLE, SMALL, soft_frame

PANELS = {"position": "scatterer positions", "phase": "node phases"}
MARKERS = "os^"  # one after the other when the colours are used up
WIDTH = 0.7  # of the points at one level, side by side


def reliability_figure(summaries: Sequence[Summary]) -> Figure:
    """By how much more or less truths are inside the 50, 90 and 99 % regions, with its interval.

    One point per level, estimator and scenario.
    """
    figure = Figure(figsize=(11.0, 5.2), layout="constrained", facecolor="white")
    for axes, (kind, title) in zip(figure.subplots(1, 2, sharey=True), PANELS.items(), strict=True):
        axes.axhline(0, linestyle="--", color=BEFORE, linewidth=2, label="calibrated")
        for index, summary in enumerate(summaries):
            found = [summary.statistics[f"{kind}_inside_{round(100 * level)}"] for level in LEVELS]
            mean = [100 * (each.mean - level) for each, level in zip(found, LEVELS, strict=True)]
            spread = [[100 * (s.mean - s.low) for s in found], [100 * (s.high - s.mean) for s in found]]
            place = [number + WIDTH * ((index + 0.5) / len(summaries) - 0.5) for number in range(len(LEVELS))]
            turn, colour = divmod(index, len(COLOURS))
            label, marker = f"{summary.estimator}, {summary.scenario}", MARKERS[turn % len(MARKERS)]
            axes.errorbar(place, mean, spread, fmt=marker, color=COLOURS[colour], capsize=3, label=label)
        axes.set_title(title, fontsize=MIDDLE)
        axes.set_xlabel("claimed [%]", fontsize=MIDDLE)
        axes.set_xticks(range(len(LEVELS)), [f"{100 * level:.0f}" for level in LEVELS])
        soft_frame(axes)
    figure.axes[0].set_ylabel("truths inside, less what is claimed [%]", fontsize=MIDDLE)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=SMALL, frameon=False)
    return figure
