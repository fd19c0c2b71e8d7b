"""Helpers that the commands share."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from unfolded_ogamp.errors import InputError


def progress_bar(console: Console) -> Progress:
    """A progress bar with the remaining time; it disappears at the end."""
    return Progress(
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn()),
        console=console,
        transient=True,
        speed_estimate_period=600.0,  # a long average, because estimators differ in speed
    )


def make_folder(folder: Path) -> None:
    """Create a folder before the work starts, so that no results are lost if it cannot be written.

    Raises:
        InputError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise InputError(f"{folder}: expected a folder that can be written, found {found}") from error


def set_threads(threads: int | None) -> None:
    """Set the number of threads of PyTorch; None keeps its default."""
    if threads is not None:
        torch.set_num_threads(threads)


def optional_path(text: str | None) -> Path | None:
    """A path of the configuration that may be null."""
    return None if text is None else Path(text)


def show(console: Console, line: object) -> None:
    """Print a line unchanged: without line breaks, and without markup in brackets."""
    console.print(str(line), markup=False, highlight=False, soft_wrap=True)
