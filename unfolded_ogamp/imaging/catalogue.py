"""Estimators by name, classic and learned alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unfolded_ogamp.imaging.baselines import RIVALS, build_rival
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.pretrained import load_pretrained

UNFOLDED, GREEDY = "unfolded", "greedy"
NAMES = (UNFOLDED, *PRESETS, GREEDY, *RIVALS)
BENCHMARK_EXTRA = ("pylops", "pyproximal")


class CatalogueError(ValueError):
    """A request for an estimator that does not exist; the message is one line."""


@dataclass(frozen=True)
class EstimatorEntry:
    """One estimator of the catalogue.

    Attributes:
        name: "unfolded", one of the presets of the estimators that alternate, "greedy", or one of the rivals.
        checkpoint: folder of an exported network, for "unfolded"; None takes the one that is given as default.
        blocks: largest number of alternations, for estimators that alternate; None leaves it to the preset.
    """

    name: str
    checkpoint: Path | None = None
    blocks: int | None = None

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise CatalogueError(f"estimator: expected one of {', '.join(NAMES)}, found {self.name!r}")
        if self.checkpoint is not None and self.name != UNFOLDED:
            raise CatalogueError(f"estimator {self.name}: expected a checkpoint for {UNFOLDED} only, found one")
        if self.blocks is not None and self.name not in PRESETS:
            raise CatalogueError(f"estimator {self.name}: expected blocks for {', '.join(PRESETS)} only, found some")
        if self.blocks is not None and (type(self.blocks) is not int or self.blocks < 1):
            raise CatalogueError(f"estimator {self.name}: expected blocks of at least 1, found {self.blocks!r}")

    @property
    def label(self) -> str:
        """How it is called in reports."""
        if self.checkpoint is not None:
            return f"{self.name} ({self.checkpoint.name})"
        return self.name if self.blocks is None else f"{self.name} ({self.blocks} blocks)"


def parse_entry(entry: object) -> EstimatorEntry:
    """An estimator as configuration names it: `og_amp`, `{name: og_amp, blocks: 10}` or
    `{name: unfolded, checkpoint: FOLDER}`.

    Raises:
        CatalogueError: if there is no such estimator.
    """
    if not isinstance(entry, Mapping):
        return EstimatorEntry(str(entry))
    unknown = [str(key) for key in entry if key not in ("name", "checkpoint", "blocks")]
    if unknown or "name" not in entry:
        found = ", ".join(map(str, entry)) or "nothing"
        raise CatalogueError(f"estimator: expected a name, and a checkpoint or blocks if any, found {found}")
    checkpoint: Any = entry.get("checkpoint")
    path = None if checkpoint is None else Path(str(checkpoint))
    return EstimatorEntry(str(entry["name"]), path, entry.get("blocks"))


def build_estimator(entry: EstimatorEntry, default_checkpoint: Path) -> Estimator:
    """The estimator of an entry; a network is loaded from the folder `default_checkpoint` unless the entry names one.

    Raises:
        CatalogueError: if it needs an extra that is not installed.
        PretrainedError: if the folder holds no usable network.
    """
    if entry.name == UNFOLDED:
        return load_pretrained(entry.checkpoint or default_checkpoint)
    if entry.name == GREEDY:
        return GreedyEstimator()
    if entry.name in RIVALS:
        return _rival(entry.name)
    settings = PRESETS[entry.name]()
    return AlternatingEstimator(settings if entry.blocks is None else replace(settings, blocks=entry.blocks))


def _rival(name: str) -> Estimator:
    try:
        return build_rival(name)
    except ModuleNotFoundError as error:
        if error.name not in BENCHMARK_EXTRA:
            raise
        raise CatalogueError(
            f"estimator {name}: expected the benchmark extra (pip install unfolded_ogamp[benchmark]), "
            f"found no {error.name}"
        ) from error


def build_estimators(entries: Sequence[object], default_checkpoint: Path) -> dict[str, Estimator]:
    """The estimators that configuration lists, by the names under which they are reported.

    Raises:
        CatalogueError: if there is none, or one of them does not exist, comes twice or needs a missing extra.
        PretrainedError: if a folder holds no usable network.
    """
    if not entries:
        raise CatalogueError(f"estimators: expected some of {', '.join(NAMES)}, found none")
    estimators: dict[str, Estimator] = {}
    for entry in map(parse_entry, entries):
        if entry.label in estimators:
            raise CatalogueError(f"estimators: expected each once, found {entry.label} twice")
        estimators[entry.label] = build_estimator(entry, default_checkpoint)
    return estimators
