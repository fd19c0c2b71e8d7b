"""Exported networks: a folder with weights and all that builds the network. Loading needs torch and safetensors alone.

The folder holds `model.safetensors`, `config.json` (the fields of `ExportDetails`, the name of the system, the
hash of the weights and, under "network", the settings of the network) and a card `README.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.files import shipped
from unfolded_ogamp.provenance import sha256
from unfolded_ogamp.settings import settings_from_dict
from unfolded_ogamp.system import Network, system

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"
SHIPPED = shipped("checkpoints") / "unfolded_ogamp"


class PretrainedError(InputError):
    """A folder that holds no usable network; the message is one line."""


@dataclass(frozen=True)
class ExportDetails:
    """Origin and measured performance of a network.

    Attributes:
        trained_on: scenario or mixture it was trained on, as plain values.
        seed: of the training run.
        provenance: versions, platform and commit that it was trained with, see `provenance`; None where unknown.
        training_time: [s].
        measured: figures on unseen scenes, as under "results" in the `results.json` of an evaluation:
            {scenario: {estimator: {"n_scenes": ..., "metrics": {metric: {"mean": ..., "low": ..., "high": ...}}}}}.
    """

    trained_on: Mapping[str, Any]
    seed: int
    provenance: Mapping[str, str | None]
    training_time: float
    measured: Mapping[str, Any]


def load_pretrained(folder: str | Path = SHIPPED, of_system: str | None = None) -> Network:
    """The network of an exported folder, ready to estimate: in eval mode, and no gradients are kept.

    Args:
        folder: written by `scripts/export.py`; by default that of the shipped network, for imaging.
        of_system: name of the system that it has to be of; None takes a network of any.

    Raises:
        PretrainedError: with one line that says what was expected and what was found.
    """
    folder = Path(folder)
    config = _read_config(folder)
    if of_system not in (None, config["system"]):
        raise PretrainedError(f"{folder / CONFIG}: expected a network of {of_system}, found one of {config['system']}")
    try:
        learning = system(str(config["system"])).the_learning()
        network = learning.network(settings_from_dict(learning.settings, config["network"], "network"))
    except ValueError as error:
        raise PretrainedError(f"{folder / CONFIG}: {error}") from error
    weights = _read_weights(folder)
    _check_weights(folder, network.state_dict(), weights)
    found = sha256((folder / WEIGHTS).read_bytes())
    if found != config["weights_sha256"]:
        expected = f"expected weights with the hash {config['weights_sha256']} of {CONFIG}"
        raise PretrainedError(f"{folder / WEIGHTS}: {expected}, found {found}")
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def load_details(folder: str | Path) -> ExportDetails:
    """The details of the network in an exported folder.

    Raises:
        PretrainedError: as `load_pretrained`.
    """
    config = _read_config(Path(folder))
    return ExportDetails(**{field.name: config[field.name] for field in fields(ExportDetails)})


def _read_config(folder: Path) -> dict[str, Any]:
    known = ["system", "network", "weights_sha256", *(field.name for field in fields(ExportDetails))]
    if not folder.is_dir():
        raise PretrainedError(f"{folder}: expected the folder of an exported network, found none")
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PretrainedError(f"{path}: expected a file, found none") from None
    except (OSError, ValueError) as error:
        raise PretrainedError(f"{path}: expected JSON, found what cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise PretrainedError(f"{path}: expected an object, found {type(config).__name__}")
    for key in config:
        if key not in known:
            raise PretrainedError(f"{path}: expected only the keys {', '.join(known)}, found {key!r}")
    for key in known:
        if key not in config:
            raise PretrainedError(f"{path}: expected the key {key!r}, found none")
    return config


def _read_weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise PretrainedError(f"{path}: expected a file, found none")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise PretrainedError(f"{path}: expected weights, found what cannot be read ({error})") from error


def _check_weights(folder: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not exactly those of the network."""
    path = folder / WEIGHTS
    for name in sorted(expected.keys() | found.keys()):
        wanted, given = (_describe(tensors.get(name)) for tensors in (expected, found))
        if wanted != given:
            raise PretrainedError(f"{path}: expected weights that fit {CONFIG}: {name} to be {wanted}, found {given}")
        if not found[name].isfinite().all():
            raise PretrainedError(f"{path}: expected finite weights, found {name} with a nan or inf")


def _describe(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}".removeprefix("torch.")
