"""Figures 6, 7 and 8: imaging and synchronisation over one quantity of the scenario."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unfolded_ogamp.evaluation.style import LARGE, MIDDLE, SMALL
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study.curves import (
    GAMP,
    GAMP_IDEAL,
    GREEDY,
    INTERVAL,
    NETWORK,
    PAPER,
    PAPER_IDEAL,
    PAPER_ONCE,
    STYLES,
    TUNED,
    TUNED_IDEAL,
    draw_curve,
    log_axis,
    sweep_curves,
)
from unfolded_ogamp.imaging.study.sweep import (
    IMAGE_KNOWN,
    JOINT,
    PHASES_KNOWN,
    Point,
    Size,
    curve_table,
    sweep,
)
from unfolded_ogamp.system import OnProgress, Row

AXIS_TITLES = {"chamfer": "chamfer distance [m]", "phase_rmse": "link phase error [rad]"}
CURVES: dict[str, tuple[str, ...]] = {
    "chamfer": (GAMP, GAMP_IDEAL, PAPER, PAPER_IDEAL, TUNED, TUNED_IDEAL, NETWORK, GREEDY, JOINT, PHASES_KNOWN),
    "phase_rmse": (GAMP, PAPER_ONCE, PAPER, TUNED, NETWORK, GREEDY, JOINT, IMAGE_KNOWN),
}
PRINTED_TOP = "#777777"  # colour of the line where the paper's axis ends


@dataclass(frozen=True)
class SweepFigure:
    """A figure whose horizontal axis is one field of the scenario.

    Attributes:
        title: of the figure.
        quantity: the field, and the label of the rows.
        axis_title: of the horizontal axis.
        heading: of the columns of the table.
        sizes: amounts of measurement by name; `values` are in units of `unit`.
        unit: of the values of the field.
        sparsities: a column of panels for each; none for that of the scenario, without a label in the rows.
        printed_top: where the paper's linear axis of a metric ends, which begins at zero, and how that is written.
    """

    title: str
    quantity: str
    axis_title: str
    heading: str
    sizes: Mapping[str, Size]
    unit: float = 1.0
    sparsities: tuple[float, ...] = ()
    printed_top: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    def measure(self, size: Size, seed: int, network: Estimator, on_progress: OnProgress | None = None) -> list[Row]:
        """Rows of `sweep`, labelled by the quantity and, if there are several, by `sparsity`."""
        points = []
        for sparsity in self.sparsities or (Scenario().sparsity,):
            labels: Row = {"sparsity": sparsity} if self.sparsities else {}
            curves = sweep_curves(sparsity, network)
            for value in size.values:
                changed: dict[str, Any] = {"sparsity": sparsity, self.quantity: value * self.unit}
                points.append(Point({**labels, self.quantity: value}, replace(Scenario(), **changed), curves))
        return sweep(points, size.n_scenes, seed, on_progress)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Chamfer distance (a) and phase error (b): one below the other for several sparsities, else side by side."""
        parts = self._by_sparsity(rows)
        shape = (2, len(parts)) if len(parts) > 1 else (1, 2)
        size = (5.4 * shape[1] + 4.0, 4.6 * shape[0] + 0.9)
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        panels = figure.subplots(*shape, squeeze=False, sharex=True, sharey="row" if len(parts) > 1 else False)
        for metric, row in zip(CURVES, panels.reshape(2, -1), strict=True):
            for axes, (sparsity, chosen) in zip(row, parts, strict=True):
                for curve in CURVES[metric]:
                    draw_curve(axes, chosen, self.quantity, curve, metric)
                log_axis(axes)
                axes.set_xlabel(self.axis_title if axes in panels[-1] else "", fontsize=MIDDLE)
                if axes in panels[0] and sparsity is not None:
                    axes.set_title(rf"$\eta$ = {100 * sparsity:g} %", fontsize=MIDDLE)
            row[0].set_ylabel(AXIS_TITLES[metric], fontsize=MIDDLE)
            if metric in self.printed_top:
                _mark_printed_top(list(row), *self.printed_top[metric])
        lines = {str(line.get_label()): line for axes in panels.flat for line in axes.lines}
        handles = [*(lines[curve] for curve in STYLES if curve in lines), INTERVAL]
        figure.legend(handles=handles, loc="outside right center", fontsize=SMALL, frameon=False, handlelength=3)
        figure.suptitle(self.title, fontsize=LARGE)
        return figure

    def table(self, rows: Sequence[Row]) -> str:
        """A table for each metric and sparsity."""
        return "\n".join(
            ("" if sparsity is None else f"Sparsity {100 * sparsity:g} %:\n\n")
            + curve_table(chosen, self.quantity, self.heading, metric)
            for sparsity, chosen in self._by_sparsity(rows)
            for metric in CURVES
        )

    def _by_sparsity(self, rows: Sequence[Row]) -> list[tuple[float | None, list[Row]]]:
        if not self.sparsities:
            return [(None, list(rows))]
        return [(sparsity, [row for row in rows if row["sparsity"] == sparsity]) for sparsity in self.sparsities]


FIGURE_6 = SweepFigure(
    title="Figure 6: against the signal-to-noise ratio",
    quantity="snr_db",
    axis_title="signal-to-noise ratio [dB]",
    heading="SNR [dB]",
    sizes={
        "tiny": Size(1, (25.0,)),
        "quick": Size(4, (10.0, 15.0, 25.0, 35.0)),
        "full": Size(50, (10.0, 15.0, 20.0, 25.0, 30.0, 35.0)),
    },
    sparsities=(0.03, 0.05),
    printed_top={"chamfer": (0.2, "0.2 m"), "phase_rmse": (0.16 * math.pi, r"0.16 $\pi$")},
)
FIGURE_7 = SweepFigure(
    title="Figure 7: against the size of the pixels, {} x {} of them".format(*Scenario().pixels),
    quantity="pixel",
    axis_title="side of a pixel [m]",
    heading="pixel [m]",
    sizes={
        "tiny": Size(1, (0.2,)),
        "quick": Size(4, (0.1, 0.2, 0.3, 0.5)),
        "full": Size(50, (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)),
    },
)
FIGURE_8 = SweepFigure(
    title="Figure 8: against the phase offsets",
    quantity="phase_std",
    axis_title=r"standard deviation $\sigma_\phi$ of a link phase [$\pi$ rad]",
    heading="sigma [pi]",
    sizes={
        "tiny": Size(1, (0.2,)),
        "quick": Size(4, (0.05, 0.2, 0.4, 0.6)),
        "full": Size(50, (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
    },
    unit=math.pi,
)


def _mark_printed_top(panels: Sequence[Axes], top: float, text: str) -> None:
    """A dotted line at the end of the paper's axis in panels side by side, with a note beside the last."""
    for axes in panels:
        axes.axhline(top, color=PRINTED_TOP, linewidth=1.6, linestyle=(0, (1, 1)), zorder=0)
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (6, 0), "textcoords": "offset points"}
    note = f"the paper's axis\nends at {text}"
    panels[-1].annotate(note, (1.0, top), **place, va="center", fontsize=SMALL - 1, color=PRINTED_TOP)
