"""What a network has learned, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unfolded_ogamp.evaluation.figures.panels import BEFORE, COLOURS, MIDDLE, SMALL, soft_frame


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
