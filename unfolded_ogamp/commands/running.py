"""What all commands that measure for a while share."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from unfolded_ogamp.commands.failure import CommandError


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
        CommandError: if it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise CommandError(f"{folder}: expected a folder that can be written, found {found}") from error


def set_threads(threads: int | None) -> None:
    """Let PyTorch use that many threads; None leaves it to PyTorch.

    Raises:
        CommandError: if it is no whole number of at least 1.
    """
    if threads is None:
        return
    if type(threads) is not int or threads < 1:
        raise CommandError(f"threads: expected a whole number of at least 1, found {threads!r}")
    torch.set_num_threads(threads)
