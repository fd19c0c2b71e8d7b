"""Ablation: evaluate variants of a network that differ in one part, with the same weights, on the same scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console

from unfolded_ogamp.commands.evaluate import EvaluationSettings, drawn, run_evaluation
from unfolded_ogamp.commands.running import optional_path, set_threads
from unfolded_ogamp.imaging.catalogue import load_network
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.settings import at_least
from unfolded_ogamp.system import System


@dataclass(frozen=True, kw_only=True)
class Options(EvaluationSettings):
    """See `conf/ablate.yaml`."""

    scenario: Any
    checkpoint: str | None
    threads: Annotated[int, at_least(1)] | None
    output: str


def kinds(system: System) -> Mapping[str, type]:
    """The options that depend on the system."""
    return {"scenario": system.scenario_kind}


def run(system: System, options: Options, console: Console) -> None:
    """Evaluate the variants on one scenario."""
    set_threads(options.threads)
    networks = variants(load_network(optional_path(options.checkpoint)))
    settings = options.evaluation
    scenes = drawn([options.scenario], settings)
    run_evaluation(networks, scenes, system.scoring, settings, Path(options.output), console)


def variants(network: UnfoldedOGAMP) -> dict[str, UnfoldedOGAMP]:
    """The network, the untrained network of the same layers, and variants with one part removed or reduced."""
    settings = network.settings
    changed = {
        "all": settings,
        "no detection pass": replace(settings, detection_passes=0),
        "no competition": replace(settings, width=0),
        "no pruning": replace(settings, prunings=0),
        "one detection pass": replace(settings, detection_passes=1),
        "fewest joint layers": replace(settings, joint_layers=1, final_layers=1),
        "no restarts": replace(settings, starts=1),
        "no fallback": replace(settings, fallback=False),
        "neither restarts nor fallback": replace(settings, starts=1, fallback=False),
        "one block": of_blocks(settings, 1),
        "a quarter of the blocks": of_blocks(settings, max(1, settings.blocks // 4)),
        "half of the blocks": of_blocks(settings, max(1, settings.blocks // 2)),
        "no first exit": replace(settings, first_exit=settings.blocks),
    }
    found = {name: with_settings(network, each) for name, each in changed.items()}
    return {"all, analytic": UnfoldedOGAMP(settings).eval().requires_grad_(False), **found}


def of_blocks(settings: NetworkSettings, count: int) -> NetworkSettings:
    """The settings with `count` blocks; the first exit is at most the last block."""
    return replace(settings, blocks=count, first_exit=min(settings.first_exit, count))


def with_settings(network: UnfoldedOGAMP, settings: NetworkSettings) -> UnfoldedOGAMP:
    """A network of other settings with the weights of all common layers."""
    other = UnfoldedOGAMP(settings)
    weights = network.state_dict()
    other.load_state_dict({name: weights[name] for name in other.state_dict()})
    return other.eval().requires_grad_(False)
