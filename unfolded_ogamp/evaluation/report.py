"""Write comparisons to files and print them. Needs `rich`; the package does not import this module by itself."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from unfolded_ogamp.evaluation.compare import Row, Summary, metric_names, summarise
from unfolded_ogamp.evaluation.scoring import Scoring
from unfolded_ogamp.evaluation.statistics import Statistic
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.provenance import provenance

MOST_ABREAST = 2  # largest number of estimator columns in 80 characters


def write_results(rows: Sequence[Row], path: Path, settings: Mapping[str, Any], weights: Mapping[str, str]) -> None:
    """Write `results.json`: every metric per scenario and estimator, settings, versions and weights.

    Args:
        rows: results.
        path: file to write.
        settings: settings of the scenes as plain values, such as the seed.
        weights: hashes of network weights, by name of the estimator.
    """
    results: dict[str, dict[str, Any]] = {}
    for summary in summarise(rows):
        results.setdefault(summary.scenario, {})[summary.estimator] = {
            "n_scenes": summary.n_scenes,
            "batch_size": summary.batch_size,
            "threads": summary.threads,
            "metrics": {name: _plain(statistic) for name, statistic in summary.statistics.items()},
        }
    document = {
        "provenance": provenance(),
        "weights_sha256": dict(weights),
        "settings": dict(settings),
        "results": results,
    }
    _write(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write one CSV line per scene and estimator; a non-finite metric is an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = metric_names(rows[0].metrics)
    writer.writerow(["scenario", "scene", "estimator", *names, "time", "batch_size", "threads"])
    for row in rows:
        values = [_field(getattr(row.metrics, name)) for name in names]
        writer.writerow([row.scenario, row.scene, row.estimator, *values, row.time, row.batch_size, row.threads])
    _write(path, buffer.getvalue())


def screen_table(title: str | None, first: str, *headings: str) -> Table:
    """An empty table for 80 characters: a left-aligned first column, and a narrow column of numbers per heading."""
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column(escape(first))
    for heading in headings:
        table.add_column(escape(heading.replace(" ", "\n")), justify="right")
    return table


def results_tables(summaries: Sequence[Summary], scoring: Scoring) -> list[Table]:
    """Tables for the screen, one per scenario: a line per metric, a column per estimator, mean [low, high].

    With more than `MOST_ABREAST` estimators: a line per estimator, a column per main metric.
    """
    if len({summary.estimator for summary in summaries}) > MOST_ABREAST:
        return _long_tables(summaries, scoring)
    tables: dict[str, Table] = {}
    columns: dict[str, list[list[str]]] = {}
    metrics = (*scoring.columns, "time")
    for summary in summaries:
        if summary.scenario not in tables:
            title = f"{summary.scenario}, {summary.n_scenes} scenes: mean [95 % interval]"
            tables[summary.scenario] = screen_table(title, "")
            columns[summary.scenario] = [[scoring.column(metric).heading for metric in metrics]]
        tables[summary.scenario].add_column(escape(summary.estimator), justify="right")
        statistics = ((scoring.column(metric), summary.statistics[metric]) for metric in metrics)
        cells = [column.interval(s.mean, s.low, s.high) for column, s in statistics]
        cells[-1] += f"\nbatch {summary.batch_size}, threads {summary.threads}"
        columns[summary.scenario].append(cells)
    for scenario, table in tables.items():
        for line in zip(*columns[scenario], strict=True):
            table.add_row(*(escape(cell) for cell in line))
    return list(tables.values())


def _long_tables(summaries: Sequence[Summary], scoring: Scoring) -> list[Table]:
    tables: dict[str, Table] = {}
    shown = [scoring.column(metric) for metric in scoring.shown]
    for summary in summaries:
        if summary.scenario not in tables:
            title = f"{summary.scenario}, {summary.n_scenes} scenes: means, [95 % interval] of {shown[0].name}"
            tables[summary.scenario] = screen_table(title, "", *(column.heading for column in shown))
        statistics = [summary.statistics[metric] for metric in scoring.shown]
        cells = [column.number(statistic.mean) for column, statistic in zip(shown, statistics, strict=True)]
        cells[0] = shown[0].interval(statistics[0].mean, statistics[0].low, statistics[0].high)
        tables[summary.scenario].add_row(*(escape(cell) for cell in (summary.estimator, *cells)))
    return list(tables.values())


def _field(value: float) -> float | str:
    """A CSV field: true and false are 1 and 0."""
    if isinstance(value, bool):
        return int(value)
    return value if math.isfinite(value) else ""


def _plain(statistic: Statistic) -> dict[str, float | int | None]:
    """JSON values: null in place of nan and inf, which JSON does not have."""
    return {key: value if math.isfinite(value) else None for key, value in asdict(statistic).items()}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_at_once(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
