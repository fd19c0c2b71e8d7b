"""How Figure 9 is drawn: over the imaging iterations on the left, over the alternations on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unfolded_ogamp.evaluation.figures.panels import FRAME, LARGE, MIDDLE, SMALL, TRUTH, soft_frame
from unfolded_ogamp.reproduction import sweep
from unfolded_ogamp.reproduction.curves import GREEDY, NETWORK, PAPER, PAPER_FIXED, PAPER_MOVING, TUNED, TUNED_IDEAL
from unfolded_ogamp.reproduction.drawing import AXIS_TITLES, STYLES, draw_curve
from unfolded_ogamp.reproduction.sweep import Row

STOP = 1e-4  # the paper's tolerance of the stop rule


def draw(rows: Sequence[Row]) -> Figure:
    """Residual and change over t, chamfer distance and phase error over T."""
    figure = Figure(figsize=(15.0, 10.0), layout="constrained", facecolor="white")
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    (residual, change), (chamfer, phase) = (side.subplots(2, 1, sharex=True) for side in (left, right))
    imaging = [row for row in rows if row["part"] == "t"]
    for axes, metric, title in (
        (residual, "residual_over_noise", "(a) residual over the noise variance"),
        (change, "change", "(a) mean change of the reflectivity"),
    ):
        for curve in (PAPER_MOVING, PAPER_FIXED, TUNED_IDEAL):
            draw_curve(axes, imaging, "iteration", curve, metric)
        _finish(axes, title)
    _reference(residual, 1.0, "noise alone")
    _reference(change, STOP, "the paper stops here")
    change.set_xlabel("imaging iteration t, no phase offsets", fontsize=MIDDLE)

    alternations = [row for row in rows if row["part"] == "T"]
    moving = [row for row in alternations if float(row["iteration"]) > 0]
    for axes, metric, letter in ((chamfer, "chamfer", "b"), (phase, "phase_rmse", "c")):
        for curve in (PAPER, TUNED, NETWORK):
            draw_curve(axes, moving, "iteration", curve, metric)
        for curve in (GREEDY, sweep.JOINT):
            (row,) = (row for row in alternations if row["curve"] == curve and row["metric"] == metric)
            colour, _ = STYLES[curve]
            axes.axhline(float(row["mean"]), color=colour, linewidth=1.8, linestyle="--", label=curve)
        axes.set_xscale("log")
        _finish(axes, f"({letter}) {AXIS_TITLES[metric]}")
    phase.set_xlabel(r"alternation T, $\sigma_\phi$ = 0.2 $\pi$", fontsize=MIDDLE)
    for side, axes, n_columns in ((left, residual, 2), (right, chamfer, 3)):
        handles, _ = axes.get_legend_handles_labels()
        side.legend(handles=handles, loc="outside lower center", ncols=n_columns, fontsize=SMALL, frameon=False)
    figure.suptitle("Figure 9: what converges, and where to", fontsize=LARGE)
    return figure


def _finish(axes: Axes, title: str) -> None:
    axes.set_yscale("log")
    axes.set_title(title, fontsize=MIDDLE)
    axes.grid(True, color=FRAME, alpha=0.35, linewidth=0.8)
    soft_frame(axes)


def _reference(axes: Axes, level: float, text: str) -> None:
    axes.axhline(level, color=TRUTH, linewidth=1.4, linestyle=":")
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (0, 3), "textcoords": "offset points"}
    axes.annotate(text, (0.99, level), **place, ha="right", fontsize=SMALL, color=TRUTH)
