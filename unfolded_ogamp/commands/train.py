"""Train the network of a system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from unfolded_ogamp.catalogue import build_estimator, parse_entry
from unfolded_ogamp.commands.running import show
from unfolded_ogamp.settings import Settings
from unfolded_ogamp.system import System
from unfolded_ogamp.training.datamodule import DataSettings, SceneDataModule
from unfolded_ogamp.training.module import OptimiserSettings, UnfoldedModule
from unfolded_ogamp.training.run import RunSettings, fit


@dataclass(frozen=True)
class Options(Settings):
    """See `conf/train.yaml`."""

    mixture: str
    validation: Any
    network: Any
    loss: Any
    optimiser: OptimiserSettings
    data: DataSettings
    classic: str | None
    run: RunSettings


def kinds(system: System) -> Mapping[str, type]:
    """The options that depend on the system."""
    learning = system.the_learning()
    return {"validation": system.scenario_kind, "network": learning.settings, "loss": learning.loss_settings}


def run(system: System, options: Options, console: Console) -> None:
    """Train, and print the command that exports the network."""
    data = SceneDataModule(system.source(options.mixture), options.validation, options.data)
    module = UnfoldedModule(system, options.network, options.loss, options.optimiser, options.data.seed)
    classic = system.the_learning().classic if options.classic is None else options.classic
    checkpoint = fit(module, data, build_estimator(system, parse_entry(classic), "classic"), options.run)
    show(console, f"Export it with: python scripts/export.py checkpoint={checkpoint} output=FOLDER")
