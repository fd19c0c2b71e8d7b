"""Compare estimators on simulated scenes, with progress bar, tables and files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from rich.console import Console

from unfolded_ogamp.catalogue import build_estimators
from unfolded_ogamp.commands.running import make_folder, progress_bar, set_threads, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.compare import Estimator, Row, compare, summarise
from unfolded_ogamp.evaluation.figures import reliability_figure
from unfolded_ogamp.evaluation.report import results_tables, write_results, write_rows
from unfolded_ogamp.evaluation.scoring import Scoring
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.provenance import hashes
from unfolded_ogamp.scenes import Batch, evaluation_scenes
from unfolded_ogamp.settings import Check, Settings, at_least
from unfolded_ogamp.system import System

Batches = Iterable[Batch]
UNKNOWN = "noise variance unknown"


def _is_there(device: str) -> bool:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        return False
    return True


there = Check("be an existing device", _is_there)


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """Scenes of a comparison, in single precision, and the device.

    Attributes:
        n_scenes: number of scenes per scenario, the same scenes for all estimators.
        batch_size: number of scenes per call of an estimator; the last batch may be smaller.
        seed: seed of the scenes.
        device: device of the estimators.
    """

    n_scenes: Annotated[int, at_least(1)]
    batch_size: Annotated[int, at_least(1)]
    seed: Annotated[int, at_least(0)]
    device: Annotated[str, there]

    @property
    def evaluation(self) -> EvaluationSettings:
        """These settings without the options of a command."""
        return EvaluationSettings(self.n_scenes, self.batch_size, self.seed, self.device)


@dataclass(frozen=True, kw_only=True)
class Options(EvaluationSettings):
    """See `conf/evaluate.yaml`."""

    estimators: Sequence[Any] | None
    scenarios: Sequence[str]
    noise_variance: Literal["known", "unknown", "both"]
    threads: Annotated[int, at_least(1)] | None
    output: str


def run(system: System, options: Options, console: Console) -> None:
    """Compare estimators of a system on its scenarios."""
    set_threads(options.threads)
    sources = [system.evaluated(name) for name in options.scenarios]
    estimators = build_estimators(system, system.compared if options.estimators is None else options.estimators)
    settings = options.evaluation
    scenes: dict[str, Batches] = {}
    if options.noise_variance != "unknown":
        scenes |= drawn(sources, settings)
    if options.noise_variance != "known":
        hidden = {name: without_noise_variance(batches) for name, batches in drawn(sources, settings).items()}
        scenes |= {f"{name}, {UNKNOWN}": batches for name, batches in hidden.items()}
    run_evaluation(estimators, scenes, system.scoring, settings, Path(options.output), console)


def drawn(sources: Sequence[Any], settings: EvaluationSettings) -> dict[str, Batches]:
    """The scenes of every scenario or mixture, by its name."""
    return {
        source.name: evaluation_scenes(source, settings.n_scenes, settings.batch_size, settings.seed)
        for source in sources
    }


def without_noise_variance(batches: Batches) -> Iterator[Batch]:
    """The same scenes, measured with a noise variance that estimators do not know.

    Raises:
        InputError: if the measurements of the system have none.
    """
    for scene, measurement in batches:
        if not hasattr(measurement, "noise_variance"):
            raise InputError("noise_variance: expected known, as measurements of this system have none")
        assert is_dataclass(measurement)
        yield scene, replace(measurement, noise_variance=None)


def run_evaluation(
    estimators: Mapping[str, Estimator],
    scenes: Mapping[str, Batches],
    scoring: Scoring,
    settings: EvaluationSettings,
    output: Path,
    console: Console,
) -> list[Row]:
    """Compare estimators on every kind of scenes, and print a table of each.

    Writes results.json, scenes.csv and, if the system has confidence regions, reliability.png to `output`.
    """
    make_folder(output)
    rows = compare_estimators(estimators, scenes, scoring, settings, console)
    summaries = summarise(rows)
    for table in results_tables(summaries, scoring):
        console.print(table)
    write_results(rows, output / "results.json", asdict(settings), hashes(estimators))
    write_rows(rows, output / "scenes.csv")
    written = ["results.json", "scenes.csv"]
    if scoring.regions:
        with written_at_once(output / "reliability.png") as path:
            reliability_figure(summaries, scoring.regions).savefig(path, format="png", dpi=100)
        written.append("reliability.png")
    for name in written:
        show(console, output / name)
    return rows


def compare_estimators(
    estimators: Mapping[str, Estimator],
    scenes: Mapping[str, Batches],
    scoring: Scoring,
    settings: EvaluationSettings,
    console: Console,
) -> list[Row]:
    """One row per kind of scenes, scene and estimator; a bar shows the progress."""
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

            moved = ((scene.to(device=settings.device), data.to(device=settings.device)) for scene, data in batches)
            rows += compare(estimators, moved, kind, scoring, advance)
    return rows
