"""Comparisons written to files and put on the screen. Needs `rich`, so the package does not import it by itself."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.markup import escape
from rich.table import Table

from unfolded_ogamp.evaluation.compare import METRICS, Row, Statistic, Summary, summarise
from unfolded_ogamp.evaluation.tables import COLUMNS
from unfolded_ogamp.files import written_at_once

MOST_ABREAST = 5  # estimators whose columns fit a screen
SAYS_MOST = ("success", "missed", "false", "position_efficiency", "phase_efficiency", "time")


def write_results(rows: Sequence[Row], path: Path, settings: Mapping[str, Any]) -> None:
    """Write `results.json`: every metric per scenario and estimator, and what the figures were made with.

    Args:
        rows: what was measured.
        path: file to write.
        settings: plain values that the scenes were drawn with, such as the seed.
    """
    results: dict[str, dict[str, Any]] = {}
    for summary in summarise(rows):
        results.setdefault(summary.scenario, {})[summary.estimator] = {
            "n_scenes": summary.n_scenes,
            "batch_size": summary.batch_size,
            "threads": summary.threads,
            "metrics": {name: _plain(statistic) for name, statistic in summary.statistics.items()},
        }
    document = {"provenance": provenance(), "settings": dict(settings), "results": results}
    _write(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write one CSV line per scene and estimator; nan is an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["scenario", "scene", "estimator", *METRICS, "time", "batch_size", "threads"])
    for row in rows:
        metrics = asdict(row.metrics)
        values = [int(metrics[name]) if name == "success" else metrics[name] for name in METRICS]
        values = ["" if isinstance(value, float) and math.isnan(value) else value for value in values]
        writer.writerow([row.scenario, row.scene, row.estimator, *values, row.time, row.batch_size, row.threads])
    _write(path, buffer.getvalue())


def provenance() -> dict[str, str | None]:
    """Versions, platform (without the host name) and commit that results were made with."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "unfolded_ogamp": version("unfolded-ogamp"),
        "platform": f"{platform.system()} {platform.machine()}",
        "commit": _commit(),
    }


def results_tables(summaries: Sequence[Summary]) -> list[Table]:
    """Tables for the screen, one per scenario: a line per metric, a column per estimator, mean [low, high].

    More estimators than fit beside one another have a line each, and a column for the metrics that say most.
    """
    if len({summary.estimator for summary in summaries}) > MOST_ABREAST:
        return _long_tables(summaries)
    tables: dict[str, Table] = {}
    columns: dict[str, list[list[str]]] = {}
    for summary in summaries:
        if summary.scenario not in tables:
            title = f"{summary.scenario}, {summary.n_scenes} scenes: mean [95 % interval]"
            tables[summary.scenario] = Table("", title=title)
            columns[summary.scenario] = [[column.heading for column in COLUMNS.values()]]
        tables[summary.scenario].add_column(summary.estimator, justify="right")
        statistics = ((column, summary.statistics[metric]) for metric, column in COLUMNS.items())
        cells = [column.interval(s.mean, s.low, s.high) for column, s in statistics]
        cells[-1] += f"\nbatch {summary.batch_size}, threads {summary.threads}"
        columns[summary.scenario].append(cells)
    for scenario, table in tables.items():
        for line in zip(*columns[scenario], strict=True):
            table.add_row(*(escape(cell) for cell in line))
    return list(tables.values())


def _long_tables(summaries: Sequence[Summary]) -> list[Table]:
    tables: dict[str, Table] = {}
    for summary in summaries:
        if summary.scenario not in tables:
            table = Table("", title=f"{summary.scenario}, {summary.n_scenes} scenes: means, [95 % interval] of success")
            for metric in SAYS_MOST:
                table.add_column(COLUMNS[metric].heading, justify="right")
            tables[summary.scenario] = table
        cells = [COLUMNS[metric].number(summary.statistics[metric].mean) for metric in SAYS_MOST]
        success = summary.statistics["success"]
        cells[0] = COLUMNS["success"].interval(success.mean, success.low, success.high)
        tables[summary.scenario].add_row(*(escape(cell) for cell in (summary.estimator, *cells)))
    return list(tables.values())


def _plain(statistic: Statistic) -> dict[str, float | int | None]:
    """As JSON knows it, which has neither nan nor inf."""
    return {key: value if math.isfinite(value) else None for key, value in asdict(statistic).items()}


def _commit() -> str | None:
    """Commit of the checkout that holds this file, "-dirty" added if it was changed since; None outside a checkout."""
    here = Path(__file__).resolve()
    # A file that git does not know may lie in somebody else's checkout, in a virtual environment for example.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_at_once(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
