"""Export the network of a training checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from unfolded_ogamp.commands.running import optional_path, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.export import export_network
from unfolded_ogamp.settings import Settings
from unfolded_ogamp.system import System
from unfolded_ogamp.training.checkpoint import load_checkpoint


@dataclass(frozen=True)
class Options(Settings):
    """See `conf/export.yaml`."""

    checkpoint: str
    output: str
    results: str | None


def run(system: System, options: Options, console: Console) -> None:
    """Export a network; its system is in the checkpoint."""
    del system
    run_export(Path(options.checkpoint), optional_path(options.results), Path(options.output), console)


def run_export(checkpoint: Path, results: Path | None, output: Path, console: Console) -> None:
    """Write the network of a checkpoint to a folder, with the results of an evaluation on its model card.

    Args:
        checkpoint: checkpoint of `scripts/train.py`.
        results: `results.json` of `scripts/evaluate.py`, or None without an evaluation.
        output: folder to write.
        console: where the paths are printed.

    Raises:
        InputError: if the checkpoint or the results cannot be used.
        FileExistsError: if the folder holds anything but an exported network.
    """
    network, details = load_checkpoint(checkpoint)
    if results is None:
        export_network(network, output, details)
    else:
        try:
            export_network(network, output, replace(details, measured=_measured(results)))
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(f"{results}: expected the results.json of an evaluation, found {error!r}") from error
    show(console, f"{checkpoint} -> {output}")


def _measured(results: Path) -> Any:
    try:
        return json.loads(results.read_text(encoding="utf-8"))["results"]
    except ValueError as error:  # not JSON, or not text
        raise InputError(f"{results}: expected the results.json of an evaluation, found {error}") from error
