"""Whether estimates are as reliable as they say: false scatterers among the confident ones, coverage, silent errors."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console

from unfolded_ogamp.catalogue import build_estimators
from unfolded_ogamp.commands.evaluate import EvaluationSettings, compare_estimators, drawn
from unfolded_ogamp.commands.running import make_folder, set_threads, show
from unfolded_ogamp.evaluation.compare import Row, summarise
from unfolded_ogamp.evaluation.figures import reliability_figure
from unfolded_ogamp.evaluation.report import write_results, write_rows
from unfolded_ogamp.evaluation.statistics import Statistic, pooled_share, proportion_of, statistic_of
from unfolded_ogamp.evaluation.tables import Column, markdown
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.score import SCORING
from unfolded_ogamp.provenance import hashes
from unfolded_ogamp.settings import at_least
from unfolded_ogamp.system import System

ALL = "all"
Select = Callable[[Row], bool]

# Kinds of scenes that a table shows beside the scenarios, where they are a part of its scenes.
KINDS: Mapping[str, Select] = {
    "link phases within 0.1 rad": lambda row: row.metrics.phase_spread < 0.1,
    "link phases within 1 rad": lambda row: 0.1 <= row.metrics.phase_spread < 1,
    "link phases beyond": lambda row: row.metrics.phase_spread >= 1,
    "more unknowns than equations": lambda row: row.metrics.determination < 1,
    "1 to 2 equations per unknown": lambda row: 1 <= row.metrics.determination < 2,
    "2 to 4 equations per unknown": lambda row: 2 <= row.metrics.determination < 4,
    "4 equations per unknown and more": lambda row: row.metrics.determination >= 4,
    "genie below 50 %": lambda row: row.metrics.genie < 0.5,
    "genie 50 % and above": lambda row: row.metrics.genie >= 0.5,
}

COLUMNS: Mapping[str, Column] = {
    "converged": Column("converged", "%", 100.0, 1),
    "success": SCORING.columns["success"],
    "genie": Column("genie", "%", 100.0, 1),
    "confident_false": Column("false with probability above 0.95", "%", 100.0, 1),
    "position_inside_90": Column("positions in 90 % regions", "%", 100.0, 1),
    "phase_inside_90": Column("phases in 90 % regions", "%", 100.0, 1),
    "silently_wrong": Column("silently wrong", "%", 100.0, 1),
    "silently_wrong_in_reach": Column("silently wrong, in reach", "%", 100.0, 1),
    "time": Column("time", "s", 1.0, 2),
}


@dataclass(frozen=True, kw_only=True)
class Options(EvaluationSettings):
    """See `conf/confidence.yaml`."""

    estimators: Sequence[Any]
    scenarios: Sequence[str]
    threads: Annotated[int, at_least(1)] | None
    output: str


def run(system: System, options: Options, console: Console) -> None:
    """Estimate the scenes; write results.json and scenes.csv as `evaluate` does, and confidence.csv and confidence.md.

    reliability.png has the coverage in the scenes where the estimators report that they have converged.
    """
    set_threads(options.threads)
    sources = [system.evaluated(name) for name in options.scenarios]
    estimators = build_estimators(system, options.estimators)
    settings, output = options.evaluation, Path(options.output)
    make_folder(output)
    rows = compare_estimators(estimators, drawn(sources, settings), SCORING, settings, console)
    write_results(rows, output / "results.json", asdict(settings), hashes(estimators))
    write_rows(rows, output / "scenes.csv")
    table = confidence_table(rows)
    contents = {"confidence.csv": as_csv(table).encode(), "confidence.md": as_markdown(table).encode()}
    converged = summarise([row for row in rows if row.metrics.converged])
    if converged:
        picture = io.BytesIO()
        reliability_figure(converged, SCORING.regions).savefig(picture, format="png", dpi=100)
        contents["reliability.png"] = picture.getvalue()
    for name, content in contents.items():
        with written_at_once(output / name) as path:
            path.write_bytes(content)
    for name in ("results.json", "scenes.csv", *contents):
        show(console, output / name)


def confidence_table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A line per estimator and kind of scenes: their names, the number of scenes, and a `Statistic` per column."""
    scenarios = dict.fromkeys(row.scenario for row in rows)
    kinds: dict[str, Select] = {ALL: lambda _: True} if len(scenarios) > 1 else {}
    kinds |= {name: partial(_of_scenario, name) for name in scenarios}
    kinds |= KINDS
    table = []
    for estimator in dict.fromkeys(row.estimator for row in rows):
        own = [row for row in rows if row.estimator == estimator]
        for kind, select in kinds.items():
            chosen = [row for row in own if select(row)]
            if chosen and (kind not in KINDS or len(chosen) < len(own)):
                table.append({"estimator": estimator, "scenes": kind, "n": len(chosen), **statistics_of(chosen)})
    return table


def _of_scenario(name: str, row: Row) -> bool:
    return row.scenario == name


def statistics_of(rows: Sequence[Row]) -> dict[str, Statistic]:
    """The statistic of every column: scatterers and nodes are pooled over scenes, coverage over converged ones only."""
    metrics = [row.metrics for row in rows]
    converged = [metric for metric in metrics if metric.converged]
    found = [metric.n_true - metric.missed for metric in converged]
    inside = [metric.position_inside_90 * n if n else 0.0 for metric, n in zip(converged, found, strict=True)]
    return {
        "converged": proportion_of([float(metric.converged) for metric in metrics]),
        "success": proportion_of([float(metric.success) for metric in metrics]),
        "genie": statistic_of([metric.genie for metric in metrics]),
        "confident_false": pooled_share([m.confident_false for m in metrics], [m.confident for m in metrics]),
        "position_inside_90": pooled_share(inside, found),
        "phase_inside_90": statistic_of([metric.phase_inside_90 for metric in converged]),
        "silently_wrong": proportion_of([float(metric.silently_wrong) for metric in metrics]),
        "silently_wrong_in_reach": proportion_of([float(metric.silently_wrong_in_reach) for metric in metrics]),
        "time": statistic_of([row.time for row in rows]),
    }


def as_markdown(table: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of means and 95 % intervals; of the time also the median."""
    header = ["estimator", "scenes", "n", *(column.heading for column in COLUMNS.values()), "median time [s]"]
    lines = []
    for row in table:
        cells = [column.interval(row[key].mean, row[key].low, row[key].high) for key, column in COLUMNS.items()]
        confident = row["confident_false"].n
        cells[list(COLUMNS).index("confident_false")] += f" of {confident}" if confident else ""
        median = COLUMNS["time"].number(row["time"].median)
        lines.append([row["estimator"], row["scenes"], str(row["n"]), *cells, median])
    return markdown(header, lines)


def as_csv(table: Sequence[Mapping[str, Any]]) -> str:
    """CSV with a line per estimator, kind of scenes and metric; a number that is not finite is an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["estimator", "scenes", "n_scenes", "metric", "mean", "median", "low", "high", "n"])
    for row in table:
        for metric in COLUMNS:
            values = [value if math.isfinite(value) else "" for value in asdict(row[metric]).values()]
            writer.writerow([row["estimator"], row["scenes"], row["n"], metric, *values])
    return buffer.getvalue()
