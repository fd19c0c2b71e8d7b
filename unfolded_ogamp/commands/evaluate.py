"""Estimators side by side on simulated scenes, with progress, tables and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
from rich.console import Console

from unfolded_ogamp.commands.running import make_folder, progress_bar
from unfolded_ogamp.evaluation.compare import Row, compare, summarise
from unfolded_ogamp.evaluation.figures import reliability_figure
from unfolded_ogamp.evaluation.report import results_tables, write_results, write_rows
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi, Scene
from unfolded_ogamp.scenes import evaluation_scenes
from unfolded_ogamp.settings import Settings, SettingsError, at_least

Batches = Iterable[tuple[Scene, Csi]]


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """What is drawn and how it is run, in single precision.

    Attributes:
        n_scenes: scenes per scenario, the same ones for all estimators.
        batch_size: scenes estimated in one call; the last batch may be smaller.
        seed: of the scenes.
        device: where estimators run.
    """

    n_scenes: Annotated[int, at_least(1)]
    batch_size: Annotated[int, at_least(1)]
    seed: Annotated[int, at_least(0)]
    device: str = "cpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise SettingsError(f"device must be one that is there, got {self.device!r} ({error})") from error


def drawn(scenarios: Sequence[Scenario], settings: EvaluationSettings) -> dict[str, Batches]:
    """The scenes of every scenario, by its name."""
    return {
        scenario.name: evaluation_scenes(scenario, settings.n_scenes, settings.batch_size, settings.seed)
        for scenario in scenarios
    }


def run_evaluation(
    estimators: Mapping[str, Estimator],
    scenes: Mapping[str, Batches],
    settings: EvaluationSettings,
    output: Path,
    console: Console,
) -> list[Row]:
    """Compare estimators on every kind of scenes, show a table of each; write results.json, scenes.csv and
    reliability.png to `output`.
    """
    make_folder(output)
    rows = compare_estimators(estimators, scenes, settings, console)
    for table in results_tables(summarise(rows)):
        console.print(table)
    write_results(rows, output / "results.json", asdict(settings))
    write_rows(rows, output / "scenes.csv")
    with written_at_once(output / "reliability.png") as path:
        reliability_figure(summarise(rows)).savefig(path, format="png", dpi=100)
    for name in ("results.json", "scenes.csv", "reliability.png"):
        console.print(str(output / name), markup=False, soft_wrap=True)
    return rows


def compare_estimators(
    estimators: Mapping[str, Estimator], scenes: Mapping[str, Batches], settings: EvaluationSettings, console: Console
) -> list[Row]:
    """One row per kind of scenes, scene and estimator; a bar shows how far it is."""
    for estimator in estimators.values():
        if isinstance(estimator, torch.nn.Module):
            estimator.to(settings.device)
    rows: list[Row] = []
    with progress_bar(console) as progress:
        task = progress.add_task("", total=settings.n_scenes * len(estimators) * len(scenes))
        for kind, batches in scenes.items():
            done = dict.fromkeys(estimators, 0)

            def advance(name: str, count: int, kind: str = kind, done: dict[str, int] = done) -> None:
                progress.update(task, advance=count - done[name], description=f"{kind}, {name}")
                done[name] = count

            moved = ((scene.to(device=settings.device), csi.to(device=settings.device)) for scene, csi in batches)
            rows += compare(estimators, moved, kind, advance)
    return rows
