"""How Figure 5 is drawn: the pictures of one draw, and beside them the distances over all draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from unfolded_ogamp.evaluation.figures.panels import COLOURS, FRAME, HEAT, LARGE, MIDDLE, SMALL, soft_frame
from unfolded_ogamp.reproduction.sweep import Row

CROSS, RING, BOX = "#D62728", COLOURS[1], "#9CC3DD"
N_COLUMNS = 4
SMALLEST = 5e-4  # where the axis of distances begins, [m]


def draw(rows: Sequence[Row]) -> Figure:
    """Pictures of the first draw on the left, chamfer distances of all draws on the right."""
    shown = list(dict.fromkeys((str(row["panel"]), str(row["title"])) for row in rows))
    figure = Figure(figsize=(18.0, 8.8), layout="constrained", facecolor="white")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[10.4, 7.6])[0]
    axes = left.subplots(-(-len(shown) // N_COLUMNS), N_COLUMNS, squeeze=False, sharex=True, sharey=True)
    for panel, (letter, title) in zip(axes.flat, shown, strict=True):
        _draw_picture(panel, [row for row in rows if row["panel"] == letter])
        panel.set_title(f"({letter}) {title}", fontsize=SMALL)
    left.supxlabel("x [m]", fontsize=MIDDLE)
    left.supylabel("y [m]", fontsize=MIDDLE)
    mark: dict[str, Any] = {"linestyle": "none", "markeredgewidth": 2}
    handles = [
        Line2D([], [], color=CROSS, marker="x", markersize=8, label="true", **mark),
        Line2D([], [], color=RING, marker="o", markersize=9, markerfacecolor="none", label="estimated", **mark),
        Patch(facecolor=HEAT(1.0), label="pixel held active"),
    ]
    left.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=MIDDLE, frameon=False)
    chamfer = [row for row in rows if row["metric"] == "chamfer"]
    _draw_distances(right.subplots(), chamfer)
    handles = [
        Line2D([], [], color=CROSS, marker="X", linestyle="none", markersize=11, label="printed in the paper"),
        Line2D([], [], color=RING, marker="o", linewidth=3, label="median, 95 % interval"),
        Patch(facecolor=BOX, label="middle half"),
    ]
    right.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=SMALL, frameon=False)
    figure.suptitle(f"Figure 5: one draw, and what {chamfer[0]['n']} draws say", fontsize=LARGE)
    return figure


def _draw_picture(axes: Axes, rows: Sequence[Row]) -> None:
    x, y, value = _columns(rows, "pixel")
    columns, rows_of_pixels = np.unique(x.round(6)), np.unique(y.round(6))
    half = (columns[1] - columns[0]) / 2
    image = np.zeros((len(rows_of_pixels), len(columns)))
    image[np.searchsorted(rows_of_pixels, y.round(6)), np.searchsorted(columns, x.round(6))] = value
    extent = (columns[0] - half, columns[-1] + half, rows_of_pixels[0] - half, rows_of_pixels[-1] + half)
    axes.imshow(image, origin="lower", extent=extent, cmap=HEAT, vmin=0, vmax=1, interpolation="nearest")
    x, y, _ = _columns(rows, "estimated")
    axes.scatter(x, y, s=70, facecolors="none", edgecolors=RING, linewidths=1.6)
    x, y, _ = _columns(rows, "true")
    axes.scatter(x, y, s=45, c=CROSS, marker="x", linewidths=1.8)
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    soft_frame(axes)


def _draw_distances(axes: Axes, rows: Sequence[Row]) -> None:
    """A line per panel: box of the quartiles, median with its interval, and a cross where the paper's number is."""
    for number, row in enumerate(rows):
        low, high, middle = (float(row[key]) for key in ("lower_quartile", "upper_quartile", "median"))
        low = max(low, SMALLEST)
        axes.barh(number, high - low, left=low, height=0.62, color=BOX, linewidth=0)
        axes.hlines(number, float(row["median_low"]), float(row["median_high"]), color=RING, linewidth=3)
        axes.plot(middle, number, "o", color=RING, markersize=8)
        if "printed" in row:
            axes.plot(float(row["printed"]), number, "X", color=CROSS, markersize=11, markeredgecolor="white")
    axes.set_xscale("log")
    axes.set_xlim(left=SMALLEST)
    axes.set_yticks(range(len(rows)), [f"({row['panel']}) {row['title']}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("chamfer distance [m]", fontsize=MIDDLE)
    axes.grid(True, axis="x", color=FRAME, alpha=0.5)
    soft_frame(axes)
    axes.tick_params(axis="y", labelsize=SMALL, length=0)


def _columns(rows: Sequence[Row], metric: str) -> list[np.ndarray]:
    """x [m], y [m] and value of one kind of row."""
    chosen = [row for row in rows if row["metric"] == metric]
    return [np.array([row[key] for row in chosen], float) for key in ("x", "y", "value")]
