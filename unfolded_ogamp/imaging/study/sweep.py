"""Curves over a changing scenario: every curve at every point on the same scenes, and the bounds of these scenes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import torch

from unfolded_ogamp.bounds.imaging import Bound, joint_bound
from unfolded_ogamp.evaluation.compare import compare, summarise
from unfolded_ogamp.evaluation.statistics import Statistic, statistic_of
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SCORING
from unfolded_ogamp.scenes import evaluation_scenes
from unfolded_ogamp.settings import Settings, at_least

BATCH = 10
METRICS = ("chamfer", "chamfer_squared", "phase_rmse", "success")
JOINT, PHASES_KNOWN, IMAGE_KNOWN = "joint bound", "bound, phases known", "bound, image known (the paper's)"

Row = dict[str, float | str]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Size(Settings):
    """How much a figure measures.

    Attributes:
        n_scenes: scenes at each point, the same ones for all curves.
        values: where the horizontal axis is sampled, if there is one; its quantity and unit are the figure's.
        levels: where the vertical axis is sampled, in maps.
    """

    n_scenes: Annotated[int, at_least(1)]
    values: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()


@dataclass(frozen=True)
class Curve:
    """An estimator under the name it has in a figure; `ideal` curves get the scenes without their phase offsets."""

    name: str
    estimator: Estimator
    ideal: bool = False


@dataclass(frozen=True)
class Point:
    """A place in a figure: the labels that its rows carry, the scenario there and the curves that go through it."""

    labels: Row
    scenario: Scenario
    curves: Sequence[Curve]


def sweep(points: Sequence[Point], n_scenes: int, seed: int, on_progress: OnProgress | None = None) -> list[Row]:
    """A row per point, curve and metric of `METRICS`: labels, curve, metric, mean, median, low, high and n.

    [low, high] is the 95 % interval of the mean. The bounds of the scenes are among the curves.

    Args:
        points: where to measure.
        n_scenes: scenes at each point.
        seed: of the scenes; those of two points differ in nothing but what their scenarios differ in.
        on_progress: called with the numbers of estimates done and to do, after every batch.
    """
    total, done = n_scenes * sum(len(point.curves) for point in points), 0
    rows: list[Row] = []
    for point in points:
        for ideal in (False, True):
            scenario = replace(point.scenario, phase_std=0.0) if ideal else point.scenario
            estimators = {curve.name: curve.estimator for curve in point.curves if curve.ideal == ideal}
            if not estimators:
                continue
            seen = dict.fromkeys(estimators, 0)

            def advance(name: str, count: int, seen: dict[str, int] = seen) -> None:
                nonlocal done
                done, seen[name] = done + count - seen[name], count
                if on_progress is not None:
                    on_progress(done, total)

            scenes = evaluation_scenes(scenario, n_scenes, BATCH, seed)
            for summary in summarise(compare(estimators, scenes, scenario.name, SCORING, advance)):
                chosen = {metric: summary.statistics[metric] for metric in METRICS}
                rows += statistic_rows({**point.labels, "curve": summary.estimator}, chosen)
        rows += _bound_rows(point, n_scenes, seed)
    return rows


def statistic_rows(labels: Row, statistics: Mapping[str, Statistic]) -> list[Row]:
    """A row per metric."""
    return [{**labels, "metric": metric, **asdict(statistic)} for metric, statistic in statistics.items()]


def expected_chamfer(position_std: torch.Tensor) -> float:
    """Chamfer distance [m] to expect of errors with standard deviations [S, 2], [m], and nothing missed or invented.

    Both directed distances are then the mean length of the errors, taken as round: for a Gaussian of root mean square
    length r in the plane it is r sqrt(pi) / 2.
    """
    return 2 * float((math.pi / 4 * position_std.square().sum(-1)).sqrt().mean())


def _bound_rows(point: Point, n_scenes: int, seed: int) -> list[Row]:
    scenes = evaluation_scenes(point.scenario, n_scenes, 1, seed, torch.float64)
    bounds = [joint_bound(scene, 0) for scene, _ in scenes]
    values: list[tuple[str, str, Callable[[Bound], float]]] = [
        (JOINT, "chamfer", lambda bound: expected_chamfer(bound.position_std)),
        (JOINT, "phase_rmse", lambda bound: bound.phase_rms),
        (PHASES_KNOWN, "chamfer", lambda bound: expected_chamfer(bound.position_std_known_phase)),
        (IMAGE_KNOWN, "phase_rmse", lambda bound: bound.phase_rms_known_image),
    ]
    rows: list[Row] = []
    for name, metric, value in values:
        rows += statistic_rows({**point.labels, "curve": name}, {metric: statistic_of([value(b) for b in bounds])})
    return rows
