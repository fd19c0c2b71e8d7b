"""The curves of Figures 6 to 8: the paper's, their tuned counterparts, the greedy rival and the unfolded network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unfolded_ogamp.evaluation.style import BEFORE, COLOURS, FRAME, LARGE, MIDDLE, SMALL, TRUTH, soft_frame
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator, AlternatingSettings
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.study import sweep
from unfolded_ogamp.imaging.study.sweep import Curve, Row

GAMP, GAMP_IDEAL = "GAMP (paper)", "GAMP (paper), no offsets"
PAPER, PAPER_IDEAL = "OG-AMP + AO (paper)", "OG-AMP (paper), no offsets"
PAPER_MOVING, PAPER_FIXED = "OG-AMP (paper), gradient update", "OG-AMP (paper), fixed pixels"
PAPER_ONCE = "OG-AMP without AO (paper)"
TUNED, TUNED_IDEAL = "OG-AMP + AO (tuned)", "OG-AMP (tuned), phases known"
GREEDY, NETWORK = "greedy", "unfolded network"

HELD = 1e-9  # share of a phase correction that moves nothing


def paper_settings(preset: str, sparsity: float, blocks: int) -> AlternatingSettings:
    """A preset of the paper that is told the true sparsity, for a number of alternations (1 is without AO)."""
    settings = PRESETS[preset]()
    return replace(settings, imaging=replace(settings.imaging, sparsity=sparsity), blocks=blocks)


def phases_known(settings: AlternatingSettings, blocks: int) -> AlternatingSettings:
    """The same imaging for a number of blocks, with all node phases left at zero."""
    held = replace(settings.synchronisation, phase_step=HELD, momentum=0.0)
    return replace(settings, synchronisation=held, phase_tolerance=0.0, blocks=blocks)


def sweep_curves(sparsity: float, network: Estimator) -> list[Curve]:
    """All curves of Figures 6 to 8.

    Without AO the paper's estimators image once, at the phases that coarse synchronisation left, and refine the phases
    once. On scenes without phase offsets ("ideal" in the paper) they know the phases.
    """
    alternations = PRESETS["og_amp_paper"]().blocks
    settings = {
        GAMP: paper_settings("gamp_off_grid", sparsity, blocks=1),
        PAPER_ONCE: paper_settings("og_amp_paper", sparsity, blocks=1),
        PAPER: paper_settings("og_amp_paper", sparsity, alternations),
        TUNED: PRESETS["og_amp"](),
    }
    ideal = {
        GAMP_IDEAL: settings[GAMP],
        PAPER_IDEAL: settings[PAPER_ONCE],
        TUNED_IDEAL: phases_known(settings[TUNED], blocks=20),
    }
    return [
        *(Curve(name, AlternatingEstimator(value)) for name, value in settings.items()),
        *(Curve(name, AlternatingEstimator(value), ideal=True) for name, value in ideal.items()),
        Curve(GREEDY, GreedyEstimator()),
        Curve(NETWORK, network),
    ]


# Colour and line of every curve: an estimator has one colour, dashed where it is spared the phase offsets.
STYLES: dict[str, tuple[str, str]] = {
    GAMP: (COLOURS[4], "-"),
    GAMP_IDEAL: (COLOURS[4], "--"),
    PAPER: (COLOURS[0], "-"),
    PAPER_ONCE: (COLOURS[0], ":"),
    PAPER_IDEAL: (COLOURS[0], "--"),
    PAPER_MOVING: (COLOURS[0], "-"),
    PAPER_FIXED: (BEFORE, "-"),
    TUNED: (COLOURS[1], "-"),
    TUNED_IDEAL: (COLOURS[1], "--"),
    GREEDY: (COLOURS[3], "-"),
    NETWORK: (COLOURS[2], "-"),
    sweep.JOINT: (TRUTH, "-"),
    sweep.PHASES_KNOWN: (TRUTH, "--"),
    sweep.IMAGE_KNOWN: (BEFORE, "-."),
}
CHAMFER_CURVES = (
    *(GAMP, GAMP_IDEAL, PAPER, PAPER_IDEAL, TUNED),
    *(TUNED_IDEAL, NETWORK, GREEDY, sweep.JOINT, sweep.PHASES_KNOWN),
)
PHASE_CURVES = (
    *(GAMP, PAPER_ONCE, PAPER, TUNED, NETWORK, GREEDY),
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
