"""Check a CSI file, and print the checks as a table."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unfolded_ogamp.files import read_npz
from unfolded_ogamp.imaging.checks import Check, Verdict, check_arrays
from unfolded_ogamp.imaging.files.arrays import KEYS, REQUIRED
from unfolded_ogamp.imaging.files.csi import CsiFileError
from unfolded_ogamp.settings import Settings
from unfolded_ogamp.system import System

COLOURS = {Verdict.PASS: "green", Verdict.DOUBT: "yellow", Verdict.FAIL: "red", Verdict.UNDECIDED: "dim"}


@dataclass(frozen=True)
class Options(Settings):
    """See `conf/check_csi.yaml`."""

    input: str


def run(system: System, options: Options, console: Console) -> int:
    """Check a file; returns the exit status 1 if a check fails."""
    del system
    return 0 if run_checks(Path(options.input), console) else 1


def run_checks(path: Path, console: Console) -> bool:
    """Print the checks of a CSI file; returns whether none fails. Its truth, if any, is not read.

    Raises:
        CsiFileError: if the file cannot be used.
    """
    try:
        arrays = read_npz(path, [key for key in KEYS if not key.startswith("truth_")], REQUIRED)
        with warnings.catch_warnings():  # otherwise the same warning for every convention
            warnings.simplefilter("ignore")
            checks = check_arrays(arrays)
    except ValueError as error:
        raise CsiFileError(f"{path}: {error}") from error
    console.print(checks_table(checks))
    return all(check.verdict != Verdict.FAIL for check in checks)


def checks_table(checks: list[Check]) -> Table:
    """A line per check."""
    table = Table("check", "", "found", box=SIMPLE_HEAD, pad_edge=False)
    for check in checks:
        verdict = f"[{COLOURS[check.verdict]}]{check.verdict}[/]"
        table.add_row(check.name, verdict, escape(check.sentence))
    return table
