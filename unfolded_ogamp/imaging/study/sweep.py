"""Curves over a field of the scenario as rows and tables: all curves and bounds are measured on the same scenes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import torch

from unfolded_ogamp.bounds.imaging import Bound, joint_bound
from unfolded_ogamp.evaluation.compare import compare, summarise
from unfolded_ogamp.evaluation.statistics import Statistic, statistic_of
from unfolded_ogamp.evaluation.tables import Column, markdown
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import COLUMNS, SCORING
from unfolded_ogamp.scenes import evaluation_scenes
from unfolded_ogamp.settings import Settings, at_least
from unfolded_ogamp.system import OnProgress, Row

BATCH = 10
METRICS = ("chamfer", "chamfer_squared", "phase_rmse", "success")
JOINT, PHASES_KNOWN, IMAGE_KNOWN = "joint bound", "bound, phases known", "bound, image known (the paper's)"


@dataclass(frozen=True)
class Size(Settings):
    """The amount of measurement of a figure.

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
    """An estimator and its name in a figure; `ideal` curves are measured without phase offsets."""

    name: str
    estimator: Estimator
    ideal: bool = False


@dataclass(frozen=True)
class Point:
    """A point of a figure: the labels of its rows, its scenario and its curves."""

    labels: Row
    scenario: Scenario
    curves: Sequence[Curve]


def sweep(points: Sequence[Point], n_scenes: int, seed: int, on_progress: OnProgress | None = None) -> list[Row]:
    """A row per point, curve and metric of `METRICS`: labels, curve, metric, mean, median, low, high and n.

    [low, high] is the 95 % interval of the mean. The bounds of the scenes are among the curves.

    Args:
        points: where to measure.
        n_scenes: scenes at each point.
        seed: of the scenes; the scenes of two points differ only where their scenarios do.
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
            counted = dict.fromkeys(estimators, 0)

            def advance(name: str, count: int, counted: dict[str, int] = counted) -> None:
                nonlocal done
                done, counted[name] = done + count - counted[name], count
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
    """Expected chamfer distance [m] of errors with standard deviations [S, 2], [m], no scatterer missed or false.

    Both directed distances are then the mean length of the errors. It is r sqrt(pi) / 2 for a circular Gaussian error
    of root mean square length r; every error is treated as such.
    """
    return 2 * float((math.pi / 4 * position_std.square().sum(-1)).sqrt().mean())


def plain_table(rows: Sequence[Row]) -> str:
    """All rows as they are, numbers with four digits."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(key, "")) for key in header] for row in rows]
    return markdown(header, cells)


def curve_table(rows: Sequence[Row], x: str, heading: str, metric: str) -> str:
    """A line per curve, a column per value of the label `x`: mean [low, high]."""
    chosen = [row for row in rows if row["metric"] == metric]
    values = sorted({row[x] for row in chosen})
    curves = dict.fromkeys(str(row["curve"]) for row in chosen)
    cells = {(row["curve"], row[x]): _interval(COLUMNS[metric], row) for row in chosen}
    count = ", ".join(sorted({f"{row['n']}" for row in chosen}))
    header = [f"{COLUMNS[metric].heading}, n = {count}", *(f"{heading} {value:g}" for value in map(float, values))]
    return markdown(header, [[curve, *(cells.get((curve, value), "-") for value in values)] for curve in curves])


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


def _interval(column: Column, row: Row) -> str:
    return column.interval(*(float(row[key]) for key in ("mean", "low", "high")))


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if math.isfinite(value) else "-"
