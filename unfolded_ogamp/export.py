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

from safetensors.torch import save

import unfolded_ogamp
from unfolded_ogamp.evaluation.tables import COLUMNS
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.pretrained import CARD, CONFIG, WEIGHTS, ExportDetails, load_pretrained

SHOWN = (
    *("success", "missed", "false", "position_rmse", "position_efficiency", "phase_rmse", "phase_efficiency"),
    *("chamfer", "time"),
)


def export_network(network: UnfoldedOGAMP, folder: str | Path, details: ExportDetails) -> None:
    """Write a network and its card to `folder`: all of it or nothing.

    An export that is already there is replaced; `load_details` reads its details, to write it again with others.

    Raises:
        FileExistsError: if the folder holds anything else.
    """
    folder = Path(folder)
    _refuse_foreign(folder)
    config = {"network": asdict(network.settings), "version": unfolded_ogamp.__version__, **asdict(details)}
    files = {
        CONFIG: json.dumps(config, indent=2, allow_nan=False) + "\n",
        CARD: model_card(network, details),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    new, old = (folder.with_name(f".{folder.name}.{token}.{state}") for state in ("new", "old"))
    try:
        new.mkdir()
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        (new / WEIGHTS).write_bytes(save(weights))
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8")
        load_pretrained(new)  # what could not be read back is not put in place
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
        if folder.exists():  # what could not be put back stays beside it
            shutil.rmtree(old, ignore_errors=True)


def model_card(network: UnfoldedOGAMP, details: ExportDetails) -> str:
    """The card: what the network is, what it was trained on and the measured figures, in Markdown."""
    settings = network.settings
    lines = [
        "# Unfolded OG-AMP",
        "",
        "Estimates where the scatterers are and the phase of every node from the CSI of a distributed array.",
        f"{settings.blocks} blocks of {settings.layers} imaging layers and one synchronisation layer on the positions "
        f"still in play, then {len(network.refinement.layers)} joint layers on scatterers and node phases together, "
        "with learned scalars that depend on neither geometry nor counts, and a small network that decides which "
        "scatterers stay. Scenes whose residual the noise does not explain are started anew, up to "
        f"{settings.starts} times in all.",
        "",
        "```python",
        "from unfolded_ogamp import load_pretrained",
        "from unfolded_ogamp.data import load_csi",
        "",
        'file = load_csi("scene.npz")',
        'estimate = load_pretrained("path/to/this/folder")(file.csi, file.array, file.grid)',
        "```",
        "",
        f"Trained for {details.training_time / 3600:.2f} hours with seed {details.seed}, at commit "
        f"{details.commit or 'unknown'} of the code, version {unfolded_ogamp.__version__}, on:",
        "",
        "```json",
        json.dumps(details.trained_on, indent=2),
        "```",
        "",
        "## Measured on unseen scenes",
        "",
        *(_table(details.measured) or ["Not measured yet."]),
    ]
    return "\n".join(lines) + "\n"


def _table(measured: Mapping[str, Any]) -> list[str]:
    """Mean [95 % interval] per scenario and estimator; a line of its own for each."""
    if not measured:
        return []
    headings = ["scenario", "estimator", "scenes", *(COLUMNS[metric].heading for metric in SHOWN)]
    lines = [_row(headings), _row(["---"] * len(headings))]
    for scenario, estimators in measured.items():
        for name, result in estimators.items():
            cells = [_cell(metric, result["metrics"][metric]) for metric in SHOWN]
            lines.append(_row([scenario, name, str(result["n_scenes"]), *cells]))
    lines += ["", "Mean over scenes and its 95 % interval; position errors are over the matched scatterers."]
    return lines


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cell(metric: str, statistic: Mapping[str, float | None]) -> str:
    return COLUMNS[metric].interval(statistic["mean"], statistic["low"], statistic["high"])


def _refuse_foreign(folder: Path) -> None:
    """An export may be replaced, anything else may not."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FileExistsError(f"{folder}: expected a folder, found something else")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if names and not {WEIGHTS, CONFIG} <= names <= {WEIGHTS, CONFIG, CARD}:
        raise FileExistsError(
            f"{folder}: expected no folder, an empty one or an exported network, found {', '.join(sorted(names)[:5])}"
        )
