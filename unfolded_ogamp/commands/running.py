"""What all commands that measure for a while share."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from unfolded_ogamp.errors import InputError


def progress_bar(console: Console) -> Progress:
    """A bar with the time that is left; it goes away when all is done."""
    return Progress(
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn()),
        console=console,
        transient=True,
        speed_estimate_period=600.0,  # estimators differ in speed: the average is what counts
    )


def make_folder(folder: Path) -> None:
    """Before the work, so that it is not lost to a folder that cannot be written.

    Raises:
        InputError: if it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise InputError(f"{folder}: expected a folder that can be written, found {found}") from error


def set_threads(threads: int | None) -> None:
    """Let PyTorch use that many threads; None leaves it to PyTorch."""
    if threads is not None:
        torch.set_num_threads(threads)


def optional_path(text: str | None) -> Path | None:
    """A path of the configuration that may be null."""
    return None if text is None else Path(text)


def show(console: Console, line: object) -> None:
    """A line as it is: paths and sentences are not broken, and brackets in them are no markup."""
    console.print(str(line), markup=False, highlight=False, soft_wrap=True)
