"""Demonstration: the classic estimators and the network in one table and one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.commands.evaluate import EvaluationSettings, compare_estimators, drawn
from unfolded_ogamp.commands.running import make_folder, optional_path, show
from unfolded_ogamp.evaluation.compare import Row, Summary, summarise
from unfolded_ogamp.evaluation.report import screen_table
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.catalogue import load_network
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.figures.comparison import comparison_figure
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SCORING
from unfolded_ogamp.scenes import evaluation_scenes
from unfolded_ogamp.system import System

NETWORK = "unfolded network"
PAPER = "OG-AMP as in the paper"
ON_CENTRES = "GAMP on pixel centres"
SHORT = "OG-AMP, 40 iterations"
CONVERGED = "OG-AMP, converged"
GREEDY = "greedy"
SHOWN = ("success", "missed", "false", "position_rmse", "chamfer", "phase_rmse", "time")


@dataclass(frozen=True, kw_only=True)
class Options(EvaluationSettings):
    """See `conf/demo.yaml`."""

    scenario: Any
    checkpoint: str | None
    picture: str


def kinds(system: System) -> Mapping[str, type]:
    """The options that depend on the system."""
    return {"scenario": system.scenario_kind}


def run(system: System, options: Options, console: Console) -> None:
    """Run the demonstration."""
    del system
    network = load_network(optional_path(options.checkpoint))
    run_demo(network, options.scenario, options.evaluation, Path(options.picture), console)


def run_demo(
    network: UnfoldedOGAMP, scenario: Scenario, settings: EvaluationSettings, picture: Path, console: Console
) -> list[Row]:
    """Compare the network with the classic estimators, show one table and write one picture of the first scene."""
    make_folder(picture.parent)
    estimators = demo_estimators(network)
    rows = compare_estimators(estimators, drawn([scenario], settings), SCORING, settings, console)
    console.print(demo_table(summarise(rows), bound_on_average(scenario, settings)))
    console.print(
        "Means over scenes; success: all found, none false; position: rms error of those found; phase: of the links.",
        soft_wrap=True,
    )

    scene, csi = next(evaluation_scenes(scenario, 1, 1, settings.seed))
    shown = [name for name in estimators if name not in (ON_CENTRES, CONVERGED, GREEDY)]
    with torch.inference_mode():
        estimates = {name: estimators[name](csi, scene.array, scene.grid) for name in shown}
    with written_at_once(picture) as path:
        comparison_figure(scene, estimates, 0).savefig(path, format="png", dpi=100)
    show(console, picture)
    return rows


def demo_estimators(network: UnfoldedOGAMP) -> dict[str, Estimator]:
    """The network, OG-AMP after 40 iterations and to convergence, the estimators of the paper, and greedy."""
    return {
        PAPER: AlternatingEstimator(PRESETS["og_amp_paper"]()),
        ON_CENTRES: AlternatingEstimator(PRESETS["gamp"]()),
        SHORT: AlternatingEstimator(replace(PRESETS["og_amp"](), blocks=20)),
        CONVERGED: AlternatingEstimator(PRESETS["og_amp"]()),
        GREEDY: GreedyEstimator(),
        NETWORK: network,
    }


def bound_on_average(scenario: Scenario, settings: EvaluationSettings) -> tuple[float, float]:
    """Mean over the scenes of the joint bound, root mean square of positions [m] and link phases [rad]."""
    bounds = [
        joint_bound(scene, 0)
        for scene, _ in evaluation_scenes(scenario, settings.n_scenes, 1, settings.seed, torch.float64)
    ]
    return (
        math.fsum(bound.position_rms for bound in bounds) / len(bounds),
        math.fsum(bound.phase_rms for bound in bounds) / len(bounds),
    )


def demo_table(summaries: Sequence[Summary], bound: tuple[float, float]) -> Table:
    """A line per estimator, and one for the bound."""
    first = summaries[0]
    title = f"{first.scenario}, {first.n_scenes} scenes (batch {first.batch_size}, threads {first.threads})"
    table = screen_table(title, "", *(SCORING.column(metric).heading for metric in SHOWN))
    for summary in summaries:
        means = (SCORING.column(metric).number(summary.statistics[metric].mean) for metric in SHOWN)
        table.add_row(summary.estimator, *means)
    table.add_section()
    of_bound = {"position_rmse": bound[0], "phase_rmse": bound[1]}
    numbers = (SCORING.column(metric).number(of_bound[metric]) if metric in of_bound else "" for metric in SHOWN)
    table.add_row("joint bound", *numbers)
    return table
