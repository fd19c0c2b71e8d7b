"""How estimators do on scenes as they are in the field: nodes off their list, bad links, extended targets."""

from __future__ import annotations

import csv
import io
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from rich.console import Console
from torch import Tensor

from unfolded_ogamp.bounds.self_calibration import calibration_bound
from unfolded_ogamp.catalogue import build_estimators
from unfolded_ogamp.commands.running import make_folder, progress_bar, set_threads, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.statistics import Statistic, pooled_share, proportion_of, statistic_of
from unfolded_ogamp.evaluation.tables import Column, markdown
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.assembly.outcome import MismatchWarning
from unfolded_ogamp.imaging.estimate import Estimate, Estimator
from unfolded_ogamp.imaging.greedy.from_truth import from_truth
from unfolded_ogamp.imaging.perturbations.named import PERTURBATIONS, perturbed_scenes
from unfolded_ogamp.imaging.perturbations.signal import Signal
from unfolded_ogamp.imaging.robustness import RobustnessMetrics, robustness
from unfolded_ogamp.physics import Csi
from unfolded_ogamp.settings import Settings, at_least
from unfolded_ogamp.system import System

FROM_TRUTH = "from the truth"  # the label of the fit that starts there

COLUMNS: Mapping[str, Column] = {
    "success": Column("success", "%", 100.0, 1),
    "wrong": Column("converged and wrong", "%", 100.0, 1),
    "missed": Column("missed", "", 1.0, 2),
    "false": Column("false", "", 1.0, 2),
    "aligned_ratio": Column("aligned over bound", "", 1.0, 2),
    "position_ratio": Column("absolute over bound", "", 1.0, 2),
    "node_ratio": Column("nodes over bound", "", 1.0, 2),
    "position_rmse": Column("error", "mm", 1e3, 2),
    "position_inside": Column("positions in 90 % regions", "%", 100.0, 1),
    "phase_inside": Column("phases in 90 % regions", "%", 100.0, 1),
    "time": Column("time", "s", 1.0, 2),
}


@dataclass(frozen=True, kw_only=True)
class Options(Settings):
    """See `conf/robustness.yaml`."""

    estimators: Sequence[Any]
    from_truth: bool
    scenario: Any
    perturbations: Sequence[str]
    n_scenes: Annotated[int, at_least(1)]
    seed: Annotated[int, at_least(0)]
    threads: Annotated[int, at_least(1)] | None
    output: str


def kinds(system: System) -> Mapping[str, type]:
    """The options that depend on the system."""
    return {"scenario": system.scenario_kind}


@dataclass(frozen=True, kw_only=True)
class Row(RobustnessMetrics):
    """Metrics of one scene, the names of estimator and perturbation, the number of the scene, and the time [s]."""

    estimator: str
    perturbation: str
    scene: int
    time: float


def run(system: System, options: Options, console: Console) -> None:
    """Estimate perturbed scenes; write scenes.csv after every perturbation, and robustness.md.

    Raises:
        InputError: if there is no perturbation of a name.
    """
    set_threads(options.threads)
    for name in options.perturbations:
        if name not in PERTURBATIONS:
            raise InputError(f"perturbations: expected names of {', '.join(PERTURBATIONS)}, got {name}")
    estimators, output = build_estimators(system, options.estimators), Path(options.output)
    make_folder(output)
    rows: list[Row] = []
    with progress_bar(console) as progress:
        task = progress.add_task("", total=len(options.perturbations) * options.n_scenes)
        for name in options.perturbations:
            progress.update(task, description=name)
            scenes = perturbed_scenes(options.scenario, name, options.n_scenes, options.seed)
            for index, (signal, csi) in enumerate(scenes):
                prior = PERTURBATIONS[name].prior
                bound = None if prior is None else calibration_bound(signal.scene, 0, prior)
                runs = {label: partial(_estimate, one, csi, signal) for label, one in estimators.items()}
                if options.from_truth and bound is None:
                    runs[FROM_TRUTH] = partial(from_truth, csi, signal.scene)
                for label, estimating in runs.items():
                    estimate, seconds = _timed(estimating)
                    metrics = asdict(robustness(signal, estimate, bound))
                    rows.append(Row(estimator=label, perturbation=name, scene=index, time=seconds, **metrics))
                progress.advance(task)
            contents = {"scenes.csv": as_csv(rows), "robustness.md": as_markdown(rows)}
            for file, content in contents.items():
                with written_at_once(output / file) as path:
                    path.write_bytes(content.encode())
    console.print(as_markdown(rows), markup=False, highlight=False, soft_wrap=True)
    for file in ("scenes.csv", "robustness.md"):
        show(console, output / file)


def _estimate(estimator: Estimator, csi: Csi, signal: Signal) -> Estimate:
    """The estimate with the listed nodes."""
    return estimator(csi, signal.scene.assumed_array, signal.scene.grid)


def _timed(estimating: Callable[[], Estimate]) -> tuple[Estimate, float]:
    """An estimate, and its time [s]."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", MismatchWarning)
        start = time.monotonic()
        return estimating(), time.monotonic() - start


def statistics_of(rows: Sequence[Row]) -> dict[str, Statistic]:
    """The statistic of every column; coverage of positions is pooled over the scatterers."""
    found = [row.n_true - row.missed for row in rows]
    inside = [row.position_inside * count if count else 0.0 for row, count in zip(rows, found, strict=True)]
    result = {name: statistic_of([getattr(row, name) for row in rows]) for name in COLUMNS}
    result["success"] = proportion_of([float(row.success) for row in rows])
    result["wrong"] = proportion_of([float(row.wrong) for row in rows])
    result["position_inside"] = pooled_share(inside, found)
    return result


def as_markdown(rows: Sequence[Row]) -> str:
    """A Markdown table of means and 95 % intervals, a line per estimator and perturbation."""
    header = ["estimator", "perturbation", "n", *(column.heading for column in COLUMNS.values())]
    lines = []
    for estimator, name in dict.fromkeys((row.estimator, row.perturbation) for row in rows):
        chosen = [row for row in rows if (row.estimator, row.perturbation) == (estimator, name)]
        found = statistics_of(chosen)
        cells = [
            column.interval(found[key].mean, found[key].low, found[key].high) if math.isfinite(found[key].mean) else "-"
            for key, column in COLUMNS.items()
        ]
        lines.append([estimator, name, str(len(chosen)), *cells])
    return markdown(header, lines)


def as_csv(rows: Sequence[Row]) -> str:
    """CSV with a line per scene; a number that is not finite is an empty field."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _plain(value) for key, value in asdict(row).items()})
    return buffer.getvalue()


def _plain(value: float | str | bool | Tensor) -> Any:
    return "" if isinstance(value, float) and not math.isfinite(value) else value
