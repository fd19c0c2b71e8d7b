"""Reliability diagram: how often the truth lies in a confidence region, against how often it should."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from unfolded_ogamp.evaluation.calibration import LEVELS
from unfolded_ogamp.evaluation.compare import Summary
from unfolded_ogamp.evaluation.figures.panels import BEFORE, COLOURS, MIDDLE, SMALL, soft_frame

PANELS = {"position": "scatterer positions", "phase": "node phases"}


def reliability_figure(summaries: Sequence[Summary]) -> Figure:
    """Share of truths inside the 50, 90 and 99 % regions with its interval, a line per estimator and scenario."""
    figure = Figure(figsize=(11.0, 5.2), layout="constrained", facecolor="white")
    for axes, (kind, title) in zip(figure.subplots(1, 2, sharey=True), PANELS.items(), strict=True):
        axes.plot([0, 100], [0, 100], "--", color=BEFORE, linewidth=2, label="calibrated")
        for index, summary in enumerate(summaries):
            found = [summary.statistics[f"{kind}_inside_{round(100 * level)}"] for level in LEVELS]
            mean = [100 * each.mean for each in found]
            spread = [[100 * (s.mean - s.low) for s in found], [100 * (s.high - s.mean) for s in found]]
            label = f"{summary.estimator}, {summary.scenario}"
            colour = COLOURS[index % len(COLOURS)]
            nominal = [100 * level for level in LEVELS]
            axes.errorbar(nominal, mean, yerr=spread, fmt="o-", color=colour, linewidth=2, capsize=4, label=label)
        axes.set_title(title, fontsize=MIDDLE)
        axes.set_xlabel("claimed [%]", fontsize=MIDDLE)
        axes.set_xlim(40, 102)
        axes.set_ylim(0, 102)
        soft_frame(axes)
    figure.axes[0].set_ylabel("truths inside [%]", fontsize=MIDDLE)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=SMALL, frameon=False)
    return figure
