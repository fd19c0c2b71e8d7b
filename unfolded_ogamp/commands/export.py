"""From a training checkpoint to an exported network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from unfolded_ogamp.commands.failure import CommandError
from unfolded_ogamp.export import export_network
from unfolded_ogamp.training.checkpoint import load_checkpoint


def run_export(checkpoint: Path, results: Path | None, output: Path, console: Console) -> None:
    """Write the network of a checkpoint to a folder, with the figures of an evaluation on its card.

    Args:
        checkpoint: written by `scripts/train.py`.
        results: `results.json` of `scripts/evaluate.py`, or None if the network has not been measured yet.
        output: folder to write.
        console: where to say what was done.

    Raises:
        CommandError: if the checkpoint or the results cannot be used.
        FileExistsError: if the folder holds anything but an exported network.
    """
    try:
        network, details = load_checkpoint(checkpoint)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if results is not None:
        details = replace(details, measured=_measured(results))
    export_network(network, output, details)
    console.print(f"{checkpoint} -> {output}", markup=False, soft_wrap=True)


def _measured(results: Path) -> Any:
    try:
        return json.loads(results.read_text(encoding="utf-8"))["results"]
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise CommandError(f"{results}: expected the results.json of an evaluation, found {error!r}") from error
