"""Export of a trained network into a folder that `load_pretrained` reads."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unfolded_ogamp.evaluation.scoring import Scoring
from unfolded_ogamp.evaluation.tables import markdown
from unfolded_ogamp.pretrained import CARD, CONFIG, WEIGHTS, ExportDetails, load_pretrained
from unfolded_ogamp.provenance import serialised, sha256
from unfolded_ogamp.system import Network, system


def export_network(network: Network, folder: str | Path, details: ExportDetails) -> None:
    """Write a network and its card to `folder`: completely or not at all.

    An older export in the folder is replaced; `load_details` reads its details, for an export with other ones.

    Raises:
        FileExistsError: if the folder holds anything else.
    """
    folder = Path(folder)
    _refuse_foreign(folder)
    weights = serialised(network)
    config = {
        "system": network.system,
        "network": asdict(network.settings),
        "weights_sha256": sha256(weights),
        **asdict(details),
    }
    files = {
        CONFIG: json.dumps(config, indent=2, allow_nan=False) + "\n",
        CARD: model_card(network, details),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    new, old = (folder.with_name(f".{folder.name}.{token}.{state}") for state in ("new", "old"))
    try:
        new.mkdir()
        (new / WEIGHTS).write_bytes(weights)
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8")
        load_pretrained(new)  # only a readable export replaces the old one
        if folder.exists():
            os.rename(folder, old)
        try:
            os.rename(new, folder)
        except OSError:
            if old.exists():
                os.rename(old, folder)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if folder.exists():  # an old export that could not be restored stays beside the folder
            shutil.rmtree(old, ignore_errors=True)


def model_card(network: Network, details: ExportDetails) -> str:
    """The card: what the network is, what it was trained on and the measured figures, in Markdown."""
    described = system(network.system)
    lines = [
        *described.the_learning().card(network),
        "",
        f"Trained for {_duration(details.training_time)} with seed {details.seed}, by {_code(details)}, on:",
        "",
        "```json",
        json.dumps(details.trained_on, indent=2),
        "```",
        "",
        "## Measured on unseen scenes",
        "",
        _table(described.scoring, details.measured) or "Not measured yet.",
    ]
    return "\n".join(lines) + "\n"


def _duration(seconds: float) -> str:
    """A time in hours, or in minutes below an hour."""
    return f"{seconds / 3600:.2f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _code(details: ExportDetails) -> str:
    """Version of the code, and its commit if it is known."""
    version, commit = f"version {details.provenance['unfolded_ogamp']} of the code", details.provenance["commit"]
    return f"{version}, commit {commit}" if commit else version


def _table(scoring: Scoring, measured: Mapping[str, Any]) -> str:
    """Mean [95 % interval] per scenario and estimator, one line for each."""
    if not measured:
        return ""
    headings = ["scenario", "estimator", "scenes", *(scoring.column(metric).heading for metric in scoring.on_card)]
    lines = []
    for scenario, estimators in measured.items():
        for name, result in estimators.items():
            found = ((scoring.column(metric), result["metrics"][metric]) for metric in scoring.on_card)
            cells = [column.interval(each["mean"], each["low"], each["high"]) for column, each in found]
            lines.append([cell.replace("|", "\\|") for cell in (scenario, name, str(result["n_scenes"]), *cells)])
    return f"{markdown(headings, lines)}\nMean over scenes and its 95 % interval."


def _refuse_foreign(folder: Path) -> None:
    """Raise unless the folder is missing, empty or an export, which may be replaced."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FileExistsError(f"{folder}: expected a folder, found something else")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if names and not {WEIGHTS, CONFIG} <= names <= {WEIGHTS, CONFIG, CARD}:
        raise FileExistsError(
            f"{folder}: expected no folder, an empty one or an exported network, found {', '.join(sorted(names)[:5])}"
        )
