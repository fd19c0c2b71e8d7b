"""Random search for the settings of an estimator on validation scenes, with the same budget for all estimators."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Annotated, Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.catalogue import build_estimator, parse_entry
from unfolded_ogamp.commands.running import progress_bar, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SceneMetrics, scene_metrics
from unfolded_ogamp.scenes import SceneDataset
from unfolded_ogamp.settings import Settings, at_least, require, settings_from_dict
from unfolded_ogamp.system import System

FAILURE = 10.0  # weight of the share of failures in the score


@dataclass(frozen=True)
class Range(Settings):
    """Range of a setting, drawn uniformly or, with `log`, uniformly in its logarithm."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.low <= self.high, f"low must be at most high = {self.high}, got {self.low}")
        require(self.low > 0 or not self.log, f"low must be positive with log, got {self.low}")

    def at(self, share: float) -> float:
        """The value at a share in [0, 1] of the range."""
        if self.log:
            return self.low * (self.high / self.low) ** share
        return self.low + (self.high - self.low) * share


@dataclass(frozen=True)
class TuningSettings(Settings):
    """The budget of a search.

    Attributes:
        n_draws: number of random draws, in addition to the present settings.
        n_scenes: number of validation scenes, the same for all draws.
        seed: seed of the draws; the scenes are those of seed 0.
    """

    n_draws: Annotated[int, at_least(1)]
    n_scenes: Annotated[int, at_least(1)]
    seed: Annotated[int, at_least(0)]


@dataclass(frozen=True)
class Trial:
    """One draw: its values by path, score, share of successes, and time per scene [s]."""

    values: dict[str, float]
    score: float
    success: float
    time: float


@dataclass(frozen=True)
class Options(TuningSettings):
    """See `conf/tune.yaml`."""

    estimator: str
    scenario: Any
    ranges: Mapping[str, Any]


def kinds(system: System) -> Mapping[str, type]:
    """The options that depend on the system."""
    return {"scenario": system.scenario_kind}


def run(system: System, options: Options, console: Console) -> None:
    """Search the settings of one estimator."""
    if options.estimator not in options.ranges:
        known = ", ".join(options.ranges)
        raise InputError(f"estimator: expected one with ranges, {known}, found {options.estimator!r}")
    estimator = build_estimator(system, parse_entry(options.estimator))
    limits = options.ranges[options.estimator]
    if not isinstance(limits, Mapping):
        raise InputError(f"ranges: expected limits by the path of a setting, found {limits!r}")
    ranges = {path: settings_from_dict(Range, _with_scale(limit), path) for path, limit in limits.items()}
    run_tuning(estimator, ranges, options.scenario, options, console)


def _with_scale(limits: object) -> object:
    """Limits of a range; it is linear by default."""
    return {"log": False, **limits} if isinstance(limits, Mapping) else limits


def run_tuning(
    estimator: Estimator,
    ranges: Mapping[str, Range],
    scenario: Scenario,
    settings: TuningSettings,
    console: Console,
) -> list[Trial]:
    """Evaluate the estimator with its present and with `n_draws` random settings; print them, best first.

    Args:
        estimator: a frozen dataclass of settings.
        ranges: ranges by path of the field, as in "imager.penalty".
        scenario: scenario of the scenes.
        settings: budget of the search.
        console: where progress and the table are printed.
    """
    dataset = SceneDataset(scenario, batch_size=1, seed=0, split="validation")
    scenes = [dataset[0, index] for index in range(settings.n_scenes)]
    generator = torch.Generator().manual_seed(settings.seed)
    draws = [{path: value_at(estimator, path) for path in ranges}]
    for _ in range(settings.n_draws):
        shares = torch.rand(len(ranges), generator=generator, dtype=torch.float64).tolist()
        drawn = {path: ranges[path].at(share) for path, share in zip(ranges, shares, strict=True)}
        draws.append({path: like(value_at(estimator, path), value) for path, value in drawn.items()})
    trials = []
    with progress_bar(console) as progress:
        task = progress.add_task("tuning", total=len(draws) * len(scenes))
        for values in draws:
            candidate = estimator
            for path, value in values.items():
                candidate = with_value(candidate, path, value)
            metrics = []
            start = time.perf_counter()
            for scene, csi in scenes:
                estimate = candidate(csi, scene.array, scene.grid)
                metrics.append(scene_metrics(scene, estimate, 0, joint_bound(scene, 0)))
                progress.advance(task)
            seconds = (time.perf_counter() - start) / len(scenes)
            success = math.fsum(one.success for one in metrics) / len(metrics)
            trials.append(Trial(values, score(metrics), success, seconds))
            show(console, f"{trials[-1].score:8.3f}  {_text(values)}")
    trials.sort(key=lambda trial: (math.isnan(trial.score), trial.score))
    console.print(tuning_table(trials))
    return trials


def score(metrics: Sequence[SceneMetrics]) -> float:
    """Mean logarithm of chamfer [m] and of phase error [rad], plus ten times the share of failures."""
    tiny = 1e-12
    return math.fsum(
        math.log(one.chamfer + tiny) + math.log(one.phase_rmse + tiny) + FAILURE * (not one.success) for one in metrics
    ) / len(metrics)


def value_at(settings: Any, path: str) -> Any:
    """The field at a path of names with dots.

    Raises:
        InputError: if there is none.
    """
    for name in path.split("."):
        if not is_dataclass(settings) or not hasattr(settings, name):
            raise InputError(f"ranges: expected the path of a setting, found {path!r}")
        settings = getattr(settings, name)
    return settings


def with_value(settings: Any, path: str, value: float) -> Any:
    """The settings with another value at a path.

    Raises:
        InputError: if the settings do not take it.
    """
    name, _, rest = path.partition(".")
    inner = with_value(getattr(settings, name), rest, value) if rest else value
    try:
        return replace(settings, **{name: inner})
    except ValueError as error:
        raise InputError(f"ranges: expected values that the settings take, found {name} = {inner} ({error})") from error


def like(current: Any, value: float) -> float:
    """The value, rounded to an integer if the current value is one."""
    return round(value) if isinstance(current, int) else value


def tuning_table(trials: Sequence[Trial]) -> Table:
    """A line per trial."""
    table = Table(
        "score", escape("success\n[%]"), escape("time per\nscene [s]"), "settings", box=SIMPLE_HEAD, pad_edge=False
    )
    for trial in trials:
        table.add_row(f"{trial.score:.3f}", f"{100 * trial.success:.0f}", f"{trial.time:.2f}", _text(trial.values))
    return table


def _text(values: Mapping[str, float]) -> str:
    return ", ".join(f"{path}={value:.4g}" for path, value in values.items())
