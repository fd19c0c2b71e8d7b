"""Evaluate label-free adaptation: a network with and without it, on scenes that violate the model."""

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
from unfolded_ogamp.imaging.assembly.outcome import MismatchWarning
from unfolded_ogamp.imaging.catalogue import load_network
from unfolded_ogamp.imaging.commands.ablate import with_settings
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
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
    """Measure the effect of adaptation."""
    del system
    set_threads(options.threads)
    study = AdaptationStudy(options.n_scenes, options.seed, options.device, options.fallback, options.adaptation)
    network = load_network(optional_path(options.checkpoint))
    run_adaptation(network, options.scenario, study, Path(options.output), console)


@dataclass(frozen=True)
class AdaptationStudy(EvaluationSettings):
    """Settings of the evaluation.

    Attributes:
        batch_size: always 1, because every scene has its own adaptation.
        fallback: continue with the greedy estimator in scenes whose residual exceeds the noise, adapted or not.
        adaptation: settings of the adaptation.
    """

    batch_size: int = field(default=1, init=False)
    fallback: bool
    adaptation: AdaptationSettings


def run_adaptation(
    network: UnfoldedOGAMP, scenario: Scenario, study: AdaptationStudy, output: Path, console: Console
) -> list[Row]:
    """Compare the estimators on every mismatch; write the files of an evaluation and `output`/adaptation.md."""
    scenes = mismatches(scenario, study)
    with warnings.catch_warnings():
        # a misfit is expected here
        warnings.simplefilter("ignore", MismatchWarning)
        rows = run_evaluation(estimators(network, study), scenes, SCORING, study, output, console)
    tables = f"{means_table(rows)}\n{changes_table(rows)}"
    with written_at_once(output / "adaptation.md") as path:
        path.write_text(tables, encoding="utf-8")
    show(console, changes_table(rows))
    show(console, output / "adaptation.md")
    return rows


def mismatches(scenario: Scenario, study: AdaptationStudy) -> dict[str, Batches]:
    """The scenes without a mismatch and with every mismatch, by name.

    Raises:
        InputError: if mismatches do not support the scenario.
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
    """The network with and without adaptation, and the greedy estimator."""
    one = with_settings(network, replace(network.settings, fallback=study.fallback))
    return {NETWORK: one, ADAPTED: AdaptedEstimator(one, study.adaptation), "greedy": GreedyEstimator()}


def means_table(rows: Sequence[Row]) -> str:
    """Mean and 95 % interval of the metrics in `SHOWN`."""
    lines = []
    for summary in summarise(rows):
        found = ((SCORING.column(metric), summary.statistics[metric]) for metric in SHOWN)
        cells = [column.interval(s.mean, s.low, s.high) for column, s in found]
        lines.append([summary.scenario, summary.estimator, f"{summary.n_scenes}", *cells])
    return markdown(["scenes", "estimator", "n", *(SCORING.column(metric).heading for metric in SHOWN)], lines)


def changes_table(rows: Sequence[Row]) -> str:
    """Mean and 95 % interval over scenes of the change of a metric by adaptation."""
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
