"""Figure 7: imaging and synchronisation against the size of a pixel, at a fixed number of pixels."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study.drawing import sweep_curves, sweep_figure
from unfolded_ogamp.imaging.study.sweep import OnProgress, Point, Row, Size, sweep
from unfolded_ogamp.imaging.study.tables import curve_table

SIZES = {
    "tiny": Size(1, (0.2,)),
    "quick": Size(4, (0.1, 0.2, 0.3, 0.5)),
    "full": Size(50, (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)),
}


def measure(size: Size, seed: int, network: Estimator, on_progress: OnProgress | None = None) -> list[Row]:
    """Rows of `sweep`, labelled by `pixel`; `size.values` are the side of a pixel [m], and the region grows with it."""
    curves = sweep_curves(Scenario().sparsity, network)
    points = [Point({"pixel": pixel}, Scenario(pixel=pixel), curves) for pixel in size.values]
    return sweep(points, size.n_scenes, seed, on_progress)


def draw(rows: Sequence[Row]) -> Figure:
    """Chamfer distance (a) and phase error (b)."""
    pixels = Scenario().pixels
    title = f"Figure 7: against the size of the pixels, {pixels[0]} x {pixels[1]} of them"
    return sweep_figure([("", rows)], "pixel", "side of a pixel [m]", title)


def table(rows: Sequence[Row]) -> str:
    """Both metrics."""
    return "\n".join(curve_table(rows, "pixel", "pixel [m]", metric) for metric in ("chamfer", "phase_rmse"))
