"""Figures of evaluations: learned parameters over the layers, coverage of confidence regions, and transfer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from unfolded_ogamp.evaluation.compare import Summary
from unfolded_ogamp.evaluation.coverage import LEVELS
from unfolded_ogamp.evaluation.style import BEFORE, COLOURS, MIDDLE, SMALL, soft_frame
from unfolded_ogamp.evaluation.tables import COLUMNS

REGIONS = {"position": "scatterer positions", "phase": "node phases"}
MARKERS = "os^"  # the next one when all colours are taken
WIDTH = 0.7  # of all points at one level, in levels
CELL, NARROWEST = 0.68, 3.5  # width of a cell, and least width of a map, [inches]
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of red, green and blue


@dataclass(frozen=True)
class Panel:
    """One metric as a map of the field `statistic`; the better a value, the brighter its cell."""

    metric: str
    statistic: str
    title: str
    digits: int
    limits: tuple[float, float]
    colours: str


MAPS = (
    Panel("success", "mean", "success [%]", 0, (0.0, 100.0), "cividis"),
    Panel("position_efficiency", "median", "position over bound, median", 2, (0.8, 2.0), "cividis_r"),
)


def parameter_figure(learned: Mapping[str, Sequence[float]], start: Mapping[str, Sequence[float]]) -> Figure:
    """Learned parameters over the layers, a panel each; dashed, the analytic values they started from."""
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


def reliability_figure(summaries: Sequence[Summary]) -> Figure:
    """Empirical minus nominal coverage of the 50, 90 and 99 % confidence regions, with 95 % intervals.

    One point per level, estimator and scenario.
    """
    figure = Figure(figsize=(11.0, 5.2), layout="constrained", facecolor="white")
    for axes, (kind, title) in zip(figure.subplots(1, 2, sharey=True), REGIONS.items(), strict=True):
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


def transfer_figure(summaries: Sequence[Summary]) -> Figure:
    """Success and position over bound, a row per estimator and a column per scenario, in the order of the summaries.

    A cell is framed where the estimator has the name of the scenario: it was trained on it.
    """
    rows, columns = (list(dict.fromkeys(getattr(s, key) for s in summaries)) for key in ("estimator", "scenario"))
    size = (len(MAPS) * max(CELL * len(columns), NARROWEST) + 2.5, CELL * len(rows) + 2.4)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    for axes, panel in zip(figure.subplots(1, len(MAPS), sharey=True), MAPS, strict=True):
        image = np.full((len(rows), len(columns)), np.nan)
        for each in summaries:
            value = getattr(each.statistics[panel.metric], panel.statistic)
            image[rows.index(each.estimator), columns.index(each.scenario)] = COLUMNS[panel.metric].scale * value
        _draw_map(axes, image, panel)
        for name in set(rows) & set(columns):
            corner = (columns.index(name) - 0.5, rows.index(name) - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=COLOURS[0], linewidth=3))
        axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
        axes.set_yticks(range(len(rows)), rows)
    figure.axes[0].set_ylabel("trained on", fontsize=MIDDLE)
    frame = Patch(fill=False, edgecolor=COLOURS[0], linewidth=3, label="tested on the scenario of the training")
    figure.legend(handles=[frame], loc="outside lower center", fontsize=SMALL, frameon=False)
    return figure


def _draw_map(axes: Axes, image: np.ndarray, panel: Panel) -> None:
    colours = colormaps[panel.colours].with_extremes(bad="white")
    cells = colours(Normalize(*panel.limits, clip=True)(np.ma.masked_invalid(image)))
    axes.imshow(cells, interpolation="nearest")
    bright = cells[..., :3] @ LUMINANCE > 0.5
    for (row, column), value in np.ndenumerate(image):
        text = "-" if np.isnan(value) else f"{value:.{panel.digits}f}"
        colour = "black" if bright[row, column] else "white"
        axes.text(column, row, text, ha="center", va="center", fontsize=SMALL, color=colour)
    axes.set_title(panel.title, fontsize=MIDDLE)
    axes.set_xlabel("tested on", fontsize=MIDDLE)
    soft_frame(axes)
