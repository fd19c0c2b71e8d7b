"""The curves of Figures 5 to 9: their estimators, colours, lines and drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from unfolded_ogamp.evaluation.style import BEFORE, COLOURS, FRAME, TRUTH, soft_frame
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator, AlternatingSettings
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.study.sweep import IMAGE_KNOWN, JOINT, PHASES_KNOWN, Curve
from unfolded_ogamp.system import Row

GAMP, GAMP_IDEAL = "GAMP (paper)", "GAMP (paper), no offsets"
PAPER, PAPER_IDEAL = "OG-AMP + AO (paper)", "OG-AMP (paper), no offsets"
PAPER_MOVING, PAPER_FIXED = "OG-AMP (paper), gradient update", "OG-AMP (paper), fixed pixels"
PAPER_ONCE = "OG-AMP without AO (paper)"
TUNED, TUNED_IDEAL = "OG-AMP + AO (tuned)", "OG-AMP (tuned), phases known"
GREEDY, NETWORK = "greedy", "unfolded network"

# Colour and line of every curve: an estimator has one colour, dashed where there are no phase offsets.
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
    JOINT: (TRUTH, "-"),
    PHASES_KNOWN: (TRUTH, "--"),
    IMAGE_KNOWN: (BEFORE, "-."),
}
BOUNDS = (JOINT, PHASES_KNOWN, IMAGE_KNOWN)
INTERVAL = Patch(facecolor=BEFORE, alpha=0.3, label="95 % interval")

NEGLIGIBLE = 1e-9  # phase step that keeps the phases unchanged


def paper_settings(preset: str, sparsity: float, blocks: int) -> AlternatingSettings:
    """A preset of the paper, given the true sparsity, for a number of alternations (1 is without AO)."""
    settings = PRESETS[preset]()
    return replace(settings, imaging=replace(settings.imaging, sparsity=sparsity), blocks=blocks)


def phases_known(settings: AlternatingSettings, blocks: int) -> AlternatingSettings:
    """The same imaging for a number of blocks, with all node phases fixed at zero."""
    held = replace(settings.synchronisation, phase_step=NEGLIGIBLE, momentum=0.0)
    return replace(settings, synchronisation=held, phase_tolerance=0.0, blocks=blocks)


def sweep_curves(sparsity: float, network: Estimator) -> list[Curve]:
    """All curves of Figures 6 to 8.

    Without AO the paper's estimators image once, at the phases after coarse synchronisation, and refine the phases
    once. On scenes without phase offsets ("ideal" in the paper) the phases are known.
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


def draw_curve(axes: Axes, rows: Sequence[Row], x: str, curve: str, metric: str) -> None:
    """The mean of one curve over the label `x`, with its 95 % interval as a band; nothing if it was not measured."""
    chosen = sorted((row for row in rows if row["curve"] == curve and row["metric"] == metric), key=lambda row: row[x])
    if not chosen:
        return
    place, mean, low, high = (np.array([row[key] for row in chosen], float) for key in (x, "mean", "low", "high"))
    colour, line = STYLES[curve]
    width, marker = (1.8, ".") if curve in BOUNDS else (2.4, "o")
    style: dict[str, Any] = {"linewidth": width, "marker": marker, "markersize": 5}
    style["markevery"] = max(1, len(chosen) // 15)
    if line != "-":
        style["markerfacecolor"] = "white"
    axes.plot(place, mean, line, color=colour, label=curve, **style)
    if curve not in BOUNDS:
        axes.fill_between(place, low, high, color=colour, alpha=0.15, linewidth=0)


def log_axis(axes: Axes) -> None:
    """A logarithmic vertical axis with a light grid."""
    axes.set_yscale("log")
    axes.grid(True, color=FRAME, alpha=0.35, linewidth=0.8)
    soft_frame(axes)
