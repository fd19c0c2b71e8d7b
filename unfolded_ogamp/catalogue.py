"""Estimators of a system by name, classic and learned alike."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.compare import Estimator
from unfolded_ogamp.pretrained import load_pretrained
from unfolded_ogamp.system import Network, System

UNFOLDED = "unfolded"  # the network of every system


@dataclass(frozen=True)
class EstimatorEntry:
    """One estimator in a configuration.

    Attributes:
        name: "unfolded" for the network, or one of the classic estimators.
        checkpoint: folder of an exported network; None means the shipped one.
        options: of a classic estimator.
    """

    name: str
    checkpoint: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name of the estimator in reports."""
        if self.checkpoint is not None:
            return f"{self.name} ({self.checkpoint.name})"
        options = ", ".join(f"{value} {key}" for key, value in self.options.items())
        return f"{self.name} ({options})" if options else self.name


def names(system: System) -> list[str]:
    """Names of all estimators of a system, the network first."""
    return [*([] if system.learning is None else [UNFOLDED]), *system.estimators]


def parse_entry(entry: object, key: str = "estimator") -> EstimatorEntry:
    """An estimator from its configuration: `og_amp`, `{name: og_amp, blocks: 10}` or
    `{name: unfolded, checkpoint: FOLDER}`. Messages name the `key` that holds it.

    Raises:
        InputError: if it has no name.
    """
    if not isinstance(entry, Mapping):
        return EstimatorEntry(str(entry))
    options = {str(key): value for key, value in entry.items() if value is not None}
    if "name" not in options:
        raise InputError(f"{key}: expected a name, and a checkpoint or options, found {', '.join(options) or 'none'}")
    name, checkpoint = str(options.pop("name")), options.pop("checkpoint", None)
    return EstimatorEntry(name, None if checkpoint is None else Path(str(checkpoint)), options)


def build_estimator(system: System, entry: EstimatorEntry, key: str = "estimator") -> Estimator:
    """The estimator of an entry. Messages name the `key` that holds it.

    Raises:
        InputError: if there is no such estimator, it does not accept the options, or an extra is not installed.
        PretrainedError: if the folder holds no usable network of the system.
    """
    if entry.name not in names(system):
        raise InputError(f"{key}: expected one of {', '.join(names(system))}, found {entry.name!r}")
    if entry.name == UNFOLDED:
        _expect_options(entry, [])
        return network_of(system, entry.checkpoint)
    if entry.checkpoint is not None:
        raise InputError(f"estimator {entry.name}: expected a checkpoint for {UNFOLDED} only, found one")
    build = system.estimators[entry.name]
    _expect_options(entry, list(inspect.signature(build).parameters))
    try:
        return build(**entry.options)
    except ValueError as error:
        raise InputError(f"estimator {entry.name}: {error}") from error


def build_estimators(system: System, entries: Sequence[object]) -> dict[str, Estimator]:
    """The estimators of a configuration, by their names in reports.

    Raises:
        InputError: if there is none, or one is listed twice; and as `build_estimator`.
    """
    if not entries:
        raise InputError(f"estimators: expected some of {', '.join(names(system))}, found none")
    estimators: dict[str, Estimator] = {}
    for entry in (parse_entry(each, "estimators") for each in entries):
        if entry.label in estimators:
            raise InputError(f"estimators: expected each once, found {entry.label} twice")
        estimators[entry.label] = build_estimator(system, entry, "estimators")
    return estimators


def network_of(system: System, checkpoint: Path | None) -> Network:
    """The network of an exported folder; None means the shipped network of the system.

    Raises:
        InputError: if the system ships none.
        PretrainedError: if the folder holds no usable network of the system.
    """
    folder = system.the_learning().shipped if checkpoint is None else checkpoint
    if folder is None:
        raise InputError(f"checkpoint: expected checkpoint=FOLDER, as {system.name} ships no network, found none")
    return load_pretrained(folder, system.name)


def _expect_options(entry: EstimatorEntry, known: Sequence[str]) -> None:
    for key in entry.options:
        if key not in known:
            expected = f"only {', '.join(known)}" if known else "no options"
            raise InputError(f"estimator {entry.name}: expected {expected}, found {key}")
