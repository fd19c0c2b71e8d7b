"""Curves drawn from rows, in one style for all figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unfolded_ogamp.evaluation.figures.panels import BEFORE, COLOURS, FRAME, LARGE, MIDDLE, SMALL, TRUTH, soft_frame
from unfolded_ogamp.reproduction import curves, sweep
from unfolded_ogamp.reproduction.sweep import Row

# Colour and line of every curve: an estimator has one colour, dashed where it is spared the phase offsets.
STYLES: dict[str, tuple[str, str]] = {
    curves.GAMP: (COLOURS[4], "-"),
    curves.GAMP_IDEAL: (COLOURS[4], "--"),
    curves.PAPER: (COLOURS[0], "-"),
    curves.PAPER_ONCE: (COLOURS[0], ":"),
    curves.PAPER_IDEAL: (COLOURS[0], "--"),
    curves.PAPER_MOVING: (COLOURS[0], "-"),
    curves.PAPER_FIXED: (BEFORE, "-"),
    curves.TUNED: (COLOURS[1], "-"),
    curves.TUNED_IDEAL: (COLOURS[1], "--"),
    curves.GREEDY: (COLOURS[3], "-"),
    curves.NETWORK: (COLOURS[2], "-"),
    sweep.JOINT: (TRUTH, "-"),
    sweep.PHASES_KNOWN: (TRUTH, "--"),
    sweep.IMAGE_KNOWN: (BEFORE, "-."),
}
CHAMFER_CURVES = (
    *(curves.GAMP, curves.GAMP_IDEAL, curves.PAPER, curves.PAPER_IDEAL, curves.TUNED),
    *(curves.TUNED_IDEAL, curves.NETWORK, curves.GREEDY, sweep.JOINT, sweep.PHASES_KNOWN),
)
PHASE_CURVES = (
    *(curves.GAMP, curves.PAPER_ONCE, curves.PAPER, curves.TUNED, curves.NETWORK, curves.GREEDY),
    *(sweep.JOINT, sweep.IMAGE_KNOWN),
)
AXIS_TITLES = {"chamfer": "chamfer distance [m]", "phase_rmse": "link phase error [rad]"}
PRINTED_TOP = {"chamfer": (0.2, "0.2 m"), "phase_rmse": (0.16 * math.pi, r"0.16 $\pi$")}  # of the axes of Fig. 6


def draw_curve(axes: Axes, rows: Sequence[Row], x: str, curve: str, metric: str) -> None:
    """The mean of one curve over the label `x`, with its 95 % interval as a band; nothing if it was not measured."""
    chosen = sorted((row for row in rows if row["curve"] == curve and row["metric"] == metric), key=lambda row: row[x])
    if not chosen:
        return
    place, mean, low, high = (np.array([row[key] for row in chosen], float) for key in (x, "mean", "low", "high"))
    colour, line = STYLES[curve]
    bound = curve in (sweep.JOINT, sweep.PHASES_KNOWN, sweep.IMAGE_KNOWN)
    style: dict[str, Any] = {"linewidth": 1.8} if bound else {"linewidth": 2.4, "marker": "o", "markersize": 5}
    style["markevery"] = max(1, len(chosen) // 15)
    if line != "-":
        style["markerfacecolor"] = "white"
    axes.plot(place, mean, line, color=colour, label=curve, **style)
    if not bound:
        axes.fill_between(place, low, high, color=colour, alpha=0.15, linewidth=0)


def draw_metric(axes: Axes, rows: Sequence[Row], x: str, metric: str) -> None:
    """All curves of a metric on a logarithmic axis."""
    for curve in CHAMFER_CURVES if metric == "chamfer" else PHASE_CURVES:
        draw_curve(axes, rows, x, curve, metric)
    axes.set_yscale("log")
    axes.set_ylabel(AXIS_TITLES[metric], fontsize=MIDDLE)
    axes.grid(True, color=FRAME, alpha=0.35, linewidth=0.8)
    soft_frame(axes)


def mark_printed_top(panels: Sequence[Axes], metric: str) -> None:
    """The upper end of the paper's linear axis, which begins at zero, in panels side by side."""
    top, text = PRINTED_TOP[metric]
    for axes in panels:
        axes.axhline(top, color="#777777", linewidth=1.6, linestyle=(0, (1, 1)), zorder=0)
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (6, 0), "textcoords": "offset points"}
    note = f"the paper's axis\nends at {text}"
    panels[-1].annotate(note, (1.0, top), **place, va="center", fontsize=SMALL - 1, color="#777777")


def sweep_figure(columns: Sequence[tuple[str, Sequence[Row]]], x: str, axis_title: str, title: str) -> Figure:
    """Chamfer distance and phase error over the label `x`, for each pair of a heading and rows.

    The two metrics are below one another, with a column for each pair; a single pair has them side by side.
    """
    shape = (2, len(columns)) if len(columns) > 1 else (1, 2)
    size = (5.4 * shape[1] + 4.0, 4.6 * shape[0] + 0.9)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    panels = figure.subplots(*shape, squeeze=False, sharex=True, sharey="row" if len(columns) > 1 else False)
    for metric, row in zip(("chamfer", "phase_rmse"), panels.reshape(2, -1), strict=True):
        for axes, (heading, rows) in zip(row, columns, strict=True):
            draw_metric(axes, rows, x, metric)
            axes.set_xlabel(axis_title if axes in panels[-1] else "", fontsize=MIDDLE)
            axes.set_title(heading if axes in panels[0] else "", fontsize=MIDDLE)
        for axes in row[1:]:
            axes.set_ylabel("")
    draw_legend(figure, list(panels.flat))
    figure.suptitle(title, fontsize=LARGE)
    return figure


def draw_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, beside them."""
    handles: dict[str, Any] = {}
    for axes in panels:
        handles |= {str(line.get_label()): line for line in axes.lines if line.get_label() in STYLES}
    ordered = [handles[curve] for curve in STYLES if curve in handles]
    figure.legend(handles=ordered, loc="outside right center", fontsize=SMALL, frameon=False, handlelength=3)
