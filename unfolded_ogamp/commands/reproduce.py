"""Reproduce one figure of the study of a system, with progress bar; write numbers, table and picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console

from unfolded_ogamp.catalogue import network_of
from unfolded_ogamp.commands.running import make_folder, optional_path, progress_bar, set_threads, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.settings import Settings, at_least
from unfolded_ogamp.system import Network, Row, StudyFigure, System


@dataclass(frozen=True)
class Options(Settings):
    """See `conf/reproduce.yaml`."""

    figure: Any
    size: str
    seed: Annotated[int, at_least(0)]
    threads: Annotated[int, at_least(1)] | None
    checkpoint: str | None
    output: str


def run(system: System, options: Options, console: Console) -> None:
    """Measure and write one figure."""
    set_threads(options.threads)
    name = str(options.figure)
    figure = _one_of(system.the_study(), "figure", name)
    size = _one_of(figure.sizes, "size", options.size)
    network = None if system.learning is None else network_of(system, optional_path(options.checkpoint))
    stem = f"figure_{name}" if name.isdigit() else name
    run_reproduction(figure, size, options.seed, network, Path(options.output) / stem, console)


def run_reproduction(
    figure: StudyFigure, size: Any, seed: int, network: Network | None, stem: Path, console: Console
) -> list[Row]:
    """Measure one figure and write its numbers, table and picture: `stem`.csv, .md and .png."""
    make_folder(stem.parent)
    with progress_bar(console) as progress:
        task = progress.add_task(stem.name)
        rows = figure.measure(
            size, seed, network, lambda done, total: progress.update(task, completed=done, total=total)
        )
    contents = {"csv": as_csv(rows).encode(), "md": figure.table(rows).encode()}
    if figure.draw is not None:
        picture = io.BytesIO()
        figure.draw(rows).savefig(picture, format="png", dpi=70)
        contents["png"] = picture.getvalue()
    for suffix, content in contents.items():
        path = stem.with_name(f"{stem.name}.{suffix}")
        with written_at_once(path) as temporary:
            temporary.write_bytes(content)
        show(console, path)
    return rows


def as_csv(rows: Sequence[Row]) -> str:
    """CSV with a line per row; a missing field, or a non-finite number, is empty."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: value for key, value in row.items() if isinstance(value, str) or math.isfinite(value)})
    return buffer.getvalue()


def _one_of(known: Mapping[str, Any], key: str, name: str) -> Any:
    if name not in known:
        raise InputError(f"{key}: expected one of {', '.join(known)}, found {name!r}")
    return known[name]
