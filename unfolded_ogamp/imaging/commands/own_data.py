"""Estimators on CSI files with known truth: one table, and a picture of every estimate."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from unfolded_ogamp.commands.estimate import picture_of
from unfolded_ogamp.commands.failure import CommandError
from unfolded_ogamp.commands.running import make_folder
from unfolded_ogamp.evaluation.tables import markdown
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.estimate import Estimate, Estimator
from unfolded_ogamp.imaging.files.arrays import CsiFile
from unfolded_ogamp.imaging.files.csi import CsiFileError, load_csi
from unfolded_ogamp.imaging.measured import MeasuredMetrics, measured_metrics

HEADER = (
    *("file", "estimator", "found within lambda / 4", "false", "strongest false [dB]", "strongest off by [mm]"),
    *("phase error [rad]", "residual", "time [s]"),
)


def run_own_data(
    folder: Path, names: Sequence[str] | None, estimators: Mapping[str, Estimator], output: Path, console: Console
) -> list[MeasuredMetrics]:
    """Write `output`/own_data.md, and a picture per file and estimator; estimators are shown no truth.

    Args:
        folder: where the files are.
        names: file names without `.npz`; None takes all that are there. What is missing or without truth is skipped,
            with a line that says so.
        estimators: by their names in the table.
        output: folder to write to.
        console: where the table is shown.

    Raises:
        CommandError: if there is nothing to work on, or `output` cannot be written.
    """
    make_folder(output)
    paths = sorted(folder.glob("*.npz")) if names is None else [folder / f"{name}.npz" for name in names]
    lines, results = [], []
    for path in paths:
        file = _load(path, console)
        if file is None or file.truth is None:
            continue
        for name, estimator in estimators.items():
            start = time.perf_counter()
            with torch.inference_mode(), warnings.catch_warnings(record=True) as notes:
                warnings.simplefilter("always")
                estimate = estimator(file.csi, file.array, file.grid)
            seconds = time.perf_counter() - start
            metrics = measured_metrics(file.csi, file.array, estimate, file.truth)
            results.append(metrics)
            lines.append([path.stem, name, *_cells(metrics), f"{seconds:.1f}"])
            _draw(file, estimate, output / f"{path.stem}_{name}.png")
            said = "".join(f"; {note.message}" for note in notes)
            console.print(f"{path.stem}, {name}: {seconds:.1f} s{said}", markup=False, soft_wrap=True)
    if not lines:
        raise CommandError(f"{folder}: expected CSI files with truth_position, found none")
    table = markdown(HEADER, lines)
    with written_at_once(output / "own_data.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    console.print(table, markup=False, soft_wrap=True)
    console.print(str(output / "own_data.md"), markup=False, soft_wrap=True)
    return results


def _load(path: Path, console: Console) -> CsiFile | None:
    """The file, or None after a line that says why not."""
    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            file = load_csi(path)
    except CsiFileError as error:
        console.print(f"Skipped: {error}", markup=False, soft_wrap=True)
        return None
    for note in notes:
        console.print(f"{path.stem}: {note.message}", markup=False, soft_wrap=True)
    if file.truth is None:
        console.print(f"Skipped: {path}: no truth_position to compare with", markup=False, soft_wrap=True)
    return file


def _cells(metrics: MeasuredMetrics) -> list[str]:
    residual = f"{metrics.residual_db:.1f} dB below the CSI".replace("-", "")
    if not math.isnan(metrics.residual_over_noise):
        residual = f"{metrics.residual_over_noise:.3g} x noise"
    return [
        f"{metrics.found} of {metrics.n_true}",
        f"{metrics.false}",
        _number(metrics.strongest_false_db, 1, 1),
        _number(metrics.strongest, 1e3, 1),
        _number(metrics.phase_rmse, 1, 3),
        residual,
    ]


def _number(value: float, scale: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{scale * value:.{digits}f}"


def _draw(file: CsiFile, estimate: Estimate, path: Path) -> None:
    phase_std = torch.cat([estimate.tx_phase_std[0], estimate.rx_phase_std[0]])
    with written_at_once(path) as temporary:
        temporary.write_bytes(picture_of(file, estimate, phase_std))
