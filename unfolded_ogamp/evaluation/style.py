"""The style that all figures share."""

from __future__ import annotations

from matplotlib.axes import Axes

# Colours of Okabe and Ito, distinguishable by all readers; black is the truth, grey is no synchronisation.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
TRUTH, BEFORE, FRAME = "#111111", "#8C8C8C", "#B8B8B8"
LARGE, MIDDLE, SMALL = 18, 14, 12


def soft_frame(axes: Axes) -> None:
    """Light frame and small tick labels."""
    axes.tick_params(labelsize=SMALL, color=FRAME)
    for spine in axes.spines.values():
        spine.set_color(FRAME)
