"""Figure 8: imaging and synchronisation against the phase offsets that coarse synchronisation leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study.drawing import sweep_curves, sweep_figure
from unfolded_ogamp.imaging.study.sweep import OnProgress, Point, Row, Size, sweep
from unfolded_ogamp.imaging.study.tables import curve_table

SIZES = {
    "tiny": Size(1, (0.2,)),
    "quick": Size(4, (0.05, 0.2, 0.4, 0.6)),
    "full": Size(50, (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
}


def measure(size: Size, seed: int, network: Estimator, on_progress: OnProgress | None = None) -> list[Row]:
    """Rows of `sweep`, labelled by `phase_std`; `size.values` are sigma_phi in units of pi, as the label is."""
    curves = sweep_curves(Scenario().sparsity, network)
    points = [Point({"phase_std": std}, Scenario(phase_std=std * math.pi), curves) for std in size.values]
    return sweep(points, size.n_scenes, seed, on_progress)


def draw(rows: Sequence[Row]) -> Figure:
    """Chamfer distance (a) and phase error (b)."""
    title = "Figure 8: against the phase offsets"
    axis_title = r"standard deviation $\sigma_\phi$ of a link phase [$\pi$ rad]"
    return sweep_figure([("", rows)], "phase_std", axis_title, title)


def table(rows: Sequence[Row]) -> str:
    """Both metrics."""
    return "\n".join(curve_table(rows, "phase_std", "sigma [pi]", metric) for metric in ("chamfer", "phase_rmse"))
