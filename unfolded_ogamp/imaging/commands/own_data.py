"""Compare estimators on CSI files with known truth: one table, and a picture of every estimate."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from unfolded_ogamp.catalogue import build_estimators
from unfolded_ogamp.commands.running import make_folder, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.tables import markdown
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.estimate import Estimate, Estimator
from unfolded_ogamp.imaging.files.arrays import CsiFile
from unfolded_ogamp.imaging.files.csi import CsiFileError, load_csi
from unfolded_ogamp.imaging.measured import MeasuredMetrics, measured_metrics
from unfolded_ogamp.imaging.report import picture
from unfolded_ogamp.settings import Settings
from unfolded_ogamp.system import System

HEADER = (
    *("file", "estimator", "found within lambda / 4", "false", "strongest false [dB]", "strongest off by [mm]"),
    *("phase error [rad]", "residual", "time [s]"),
)


@dataclass(frozen=True)
class Options(Settings):
    """See `conf/own_data.yaml`."""

    folder: str
    files: Sequence[str] | None
    estimators: Sequence[Any]
    output: str


def run(system: System, options: Options, console: Console) -> None:
    """Estimate from all files of a folder."""
    estimators = build_estimators(system, options.estimators)
    run_own_data(Path(options.folder), options.files, estimators, Path(options.output), console)


def run_own_data(
    folder: Path, names: Sequence[str] | None, estimators: Mapping[str, Estimator], output: Path, console: Console
) -> list[MeasuredMetrics]:
    """Write `output`/own_data.md, and a picture per file and estimator; estimators do not get the truth.

    Args:
        folder: folder of the files.
        names: file names without `.npz`; None takes all files. A missing file, or one without truth, is skipped,
            with a line that says so.
        estimators: estimators by name in the table.
        output: folder to write to.
        console: where the table is shown.

    Raises:
        InputError: if no file can be used, or `output` cannot be written.
    """
    paths = sorted(folder.glob("*.npz")) if names is None else [folder / f"{name}.npz" for name in names]
    lines, results = [], []
    for path in paths:
        file = _load(path, console)
        if file is None or file.truth is None:
            continue
        make_folder(output)
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
            show(console, f"{path.stem}, {name}: {seconds:.1f} s{said}")
    if not lines:
        raise InputError(f"{folder}: expected CSI files with truth_position, found none")
    table = markdown(HEADER, lines)
    with written_at_once(output / "own_data.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    show(console, table)
    show(console, output / "own_data.md")
    return results


def _load(path: Path, console: Console) -> CsiFile | None:
    """The file, or None after printing the reason why it cannot be used."""
    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            file = load_csi(path)
    except CsiFileError as error:
        show(console, f"Skipped: {error}")
        return None
    for note in notes:
        show(console, f"{path.stem}: {note.message}")
    if file.truth is None:
        show(console, f"Skipped: {path}: no truth_position to compare with")
    return file


def _cells(metrics: MeasuredMetrics) -> list[str]:
    residual = f"{_number(metrics.residual_db, 1, 1)} dB below the CSI".replace("-", "")
    if math.isfinite(metrics.residual_over_noise):
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
    return f"{scale * value:.{digits}f}" if math.isfinite(value) else "-"


def _draw(file: CsiFile, estimate: Estimate, path: Path) -> None:
    with written_at_once(path) as temporary:
        picture(file, estimate).savefig(temporary, format="png", dpi=120)
