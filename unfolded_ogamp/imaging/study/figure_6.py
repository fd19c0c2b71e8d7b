"""Figure 6: imaging and synchronisation against the signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study.drawing import mark_printed_top, sweep_curves, sweep_figure
from unfolded_ogamp.imaging.study.sweep import OnProgress, Point, Row, Size, sweep
from unfolded_ogamp.imaging.study.tables import curve_table

SPARSITIES = (0.03, 0.05)
SIZES = {
    "tiny": Size(1, (25.0,)),
    "quick": Size(4, (10.0, 15.0, 25.0, 35.0)),
    "full": Size(50, (10.0, 15.0, 20.0, 25.0, 30.0, 35.0)),
}


def measure(size: Size, seed: int, network: Estimator, on_progress: OnProgress | None = None) -> list[Row]:
    """Rows of `sweep`, labelled by `sparsity` and `snr_db`; `size.values` are the latter [dB]."""
    points = [
        Point({"sparsity": sparsity, "snr_db": snr}, Scenario(sparsity=sparsity, snr_db=snr), curves)
        for sparsity in SPARSITIES
        for curves in [sweep_curves(sparsity, network)]
        for snr in size.values
    ]
    return sweep(points, size.n_scenes, seed, on_progress)


def draw(rows: Sequence[Row]) -> Figure:
    """Chamfer distance (a) and phase error (b) of the paper's two sparsities."""
    columns = [
        (rf"$\eta$ = {100 * sparsity:g} %", [row for row in rows if row["sparsity"] == sparsity])
        for sparsity in SPARSITIES
    ]
    figure = sweep_figure(
        columns, "snr_db", "signal-to-noise ratio [dB]", "Figure 6: against the signal-to-noise ratio"
    )
    mark_printed_top(figure.axes[: len(columns)], "chamfer")
    mark_printed_top(figure.axes[len(columns) :], "phase_rmse")
    return figure


def table(rows: Sequence[Row]) -> str:
    """Both metrics of both sparsities."""
    parts = [
        f"Sparsity {100 * sparsity:g} %:\n\n{curve_table(chosen, 'snr_db', 'SNR [dB]', metric)}"
        for sparsity in SPARSITIES
        for chosen in [[row for row in rows if row["sparsity"] == sparsity]]
        for metric in ("chamfer", "phase_rmse")
    ]
    return "\n".join(parts)
