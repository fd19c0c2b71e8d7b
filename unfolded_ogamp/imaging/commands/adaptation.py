"""Whether label-free adaptation helps: a network with and without it, on scenes that are not as they are told."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console

from unfolded_ogamp.commands.evaluate import Batches, EvaluationSettings, drawn, run_evaluation, there
from unfolded_ogamp.commands.running import optional_path, set_threads, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.compare import Row, summarise
from unfolded_ogamp.evaluation.statistics import statistic_of
from unfolded_ogamp.evaluation.tables import markdown
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.catalogue import load_network
from unfolded_ogamp.imaging.commands.ablate import with_settings
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.mismatch.diagnosis import MismatchWarning
from unfolded_ogamp.imaging.network.adaptation import AdaptationSettings, AdaptedEstimator
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.scenes.perturbed import MISMATCHES, mismatched_scenes
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SCORING
from unfolded_ogamp.settings import Settings, at_least
from unfolded_ogamp.system import System

NETWORK, ADAPTED = "network", "adapted network"
SHOWN = ("success", "missed", "false", "chamfer", "phase_rmse", "residual", "time")
CHANGED = ("success", "chamfer", "phase_rmse", "residual")


@dataclass(frozen=True)
class Options(Settings):
    """See `conf/adaptation.yaml`."""

    scenario: Any
    checkpoint: str | None
    fallback: bool
    adaptation: AdaptationSettings
    n_scenes: Annotated[int, at_least(1)]
    seed: Annotated[int, at_least(0)]
    device: Annotated[str, there]
    threads: Annotated[int, at_least(1)] | None
    output: str


def kinds(system: System) -> Mapping[str, type]:
    """The options that depend on the system."""
    return {"scenario": system.scenario_kind}


def run(system: System, options: Options, console: Console) -> None:
    """Measure what adaptation changes."""
    del system
    set_threads(options.threads)
    study = AdaptationStudy(options.n_scenes, options.seed, options.device, options.fallback, options.adaptation)
    network = load_network(optional_path(options.checkpoint))
    run_adaptation(network, options.scenario, study, Path(options.output), console)


@dataclass(frozen=True)
class AdaptationStudy(EvaluationSettings):
    """An evaluation of adaptation.

    Attributes:
        batch_size: what is adapted to is one scene.
        fallback: whether scenes whose residual exceeds the noise go to the greedy estimator, adapted or not.
        adaptation: how the network is adapted.
    """

    batch_size: int = field(default=1, init=False)
    fallback: bool
    adaptation: AdaptationSettings


def run_adaptation(
    network: UnfoldedOGAMP, scenario: Scenario, study: AdaptationStudy, output: Path, console: Console
) -> list[Row]:
    """Compare on every mismatch; what an evaluation writes, and tables in `output`/adaptation.md."""
    scenes = mismatches(scenario, study)
    with warnings.catch_warnings():
        # that the model does not fit is known here
        warnings.simplefilter("ignore", MismatchWarning)
        rows = run_evaluation(estimators(network, study), scenes, SCORING, study, output, console)
    tables = f"{means_table(rows)}\n{changes_table(rows)}"
    with written_at_once(output / "adaptation.md") as path:
        path.write_text(tables, encoding="utf-8")
    show(console, changes_table(rows))
    show(console, output / "adaptation.md")
    return rows


def mismatches(scenario: Scenario, study: AdaptationStudy) -> dict[str, Batches]:
    """The scenes as they are told to be, and what every mismatch makes of them.

    Raises:
        InputError: if the scenario cannot be mismatched.
    """
    try:
        others = {
            f"{scenario.name}, {name}": mismatched_scenes(scenario, mismatch, study.n_scenes, study.seed)
            for name, mismatch in MISMATCHES.items()
        }
    except ValueError as error:
        raise InputError(f"scenario {scenario.name}: {error}") from error
    return {**drawn([scenario], study), **others}


def estimators(network: UnfoldedOGAMP, study: AdaptationStudy) -> dict[str, Estimator]:
    """The network with and without adaptation, and greedy."""
    one = with_settings(network, replace(network.settings, fallback=study.fallback))
    return {NETWORK: one, ADAPTED: AdaptedEstimator(one, study.adaptation), "greedy": GreedyEstimator()}


def means_table(rows: Sequence[Row]) -> str:
    """Mean and 95 % interval of every metric that counts here."""
    lines = []
    for summary in summarise(rows):
        found = ((SCORING.column(metric), summary.statistics[metric]) for metric in SHOWN)
        cells = [column.interval(s.mean, s.low, s.high) for column, s in found]
        lines.append([summary.scenario, summary.estimator, f"{summary.n_scenes}", *cells])
    return markdown(["scenes", "estimator", "n", *(SCORING.column(metric).heading for metric in SHOWN)], lines)


def changes_table(rows: Sequence[Row]) -> str:
    """Mean and 95 % interval over scenes of what adaptation adds to a metric, scene by scene."""
    found = {(row.scenario, row.estimator, row.scene): row for row in rows}
    lines = []
    for scenes in dict.fromkeys(row.scenario for row in rows):
        pairs = [
            (row, found[scenes, ADAPTED, row.scene])
            for row in rows
            if (row.scenario, row.estimator) == (scenes, NETWORK)
        ]
        cells = []
        for metric in CHANGED:
            change = statistic_of([after.value(metric) - before.value(metric) for before, after in pairs])
            cells.append(SCORING.column(metric).interval(change.mean, change.low, change.high))
        lines.append([scenes, f"{len(pairs)}", *cells])
    return markdown(["scenes", "n", *(f"change of {SCORING.column(metric).heading}" for metric in CHANGED)], lines)
