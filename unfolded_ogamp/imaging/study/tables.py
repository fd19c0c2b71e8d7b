"""Rows as the tables of a page."""

from __future__ import annotations

from collections.abc import Sequence

from unfolded_ogamp.evaluation.tables import Column, markdown
from unfolded_ogamp.imaging.score import COLUMNS
from unfolded_ogamp.imaging.study.sweep import Row


def plain_table(rows: Sequence[Row]) -> str:
    """All rows as they are, numbers with four digits."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(key, "")) for key in header] for row in rows]
    return markdown(header, cells)


def curve_table(rows: Sequence[Row], x: str, axis_title: str, metric: str) -> str:
    """A line per curve, a column per value of the label `x`: mean [low, high]."""
    chosen = [row for row in rows if row["metric"] == metric]
    values = sorted({row[x] for row in chosen})
    curves = dict.fromkeys(str(row["curve"]) for row in chosen)
    cells = {(row["curve"], row[x]): _interval(COLUMNS[metric], row) for row in chosen}
    count = ", ".join(sorted({f"{row['n']}" for row in chosen}))
    header = [f"{COLUMNS[metric].heading}, n = {count}", *(f"{axis_title} {value:g}" for value in map(float, values))]
    return markdown(header, [[curve, *(cells.get((curve, value), "-") for value in values)] for curve in curves])


def _interval(column: Column, row: Row) -> str:
    return column.interval(*(float(row[key]) for key in ("mean", "low", "high")))


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
