"""Networks trained on one scenario each and tested on every other, as maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from unfolded_ogamp.evaluation.compare import Summary
from unfolded_ogamp.evaluation.style import COLOURS, MIDDLE, SMALL, soft_frame
from unfolded_ogamp.imaging.score import COLUMNS

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
