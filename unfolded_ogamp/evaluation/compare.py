"""Estimators side by side on the same scenes, and what the comparison says on average."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.estimate import Estimate, Estimator
from unfolded_ogamp.imaging.score import SceneMetrics, scene_metrics
from unfolded_ogamp.physics import Csi, Scene

CONFIDENCE = 0.95
RESAMPLES = 2000
BOOTSTRAP_SEED = 0
METRICS = tuple(field.name for field in fields(SceneMetrics))


@dataclass(frozen=True)
class Row:
    """One estimator on one scene.

    Attributes:
        scenario: name of the scenario.
        scene: number of the scene, counted through all batches.
        estimator: name of the estimator.
        metrics: how far the estimate is from the scene.
        time: wall time of the batch over the number of its scenes [s].
        batch_size: number of scenes estimated in one call.
        threads: number of threads PyTorch was allowed.
    """

    scenario: str
    scene: int
    estimator: str
    metrics: SceneMetrics
    time: float
    batch_size: int
    threads: int

    def value(self, name: str) -> float:
        """One metric, or the time, as a number."""
        return self.time if name == "time" else float(getattr(self.metrics, name))


@dataclass(frozen=True)
class Statistic:
    """A metric over scenes: mean, median and the 95 % interval [low, high] of the mean; n scenes had a value."""

    mean: float
    median: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Summary:
    """One estimator over the scenes of one scenario.

    Attributes:
        scenario, estimator: names.
        n_scenes: number of scenes.
        statistics: one for every metric of `SceneMetrics`, and `time`.
        batch_size: the largest batch.
        threads: number of threads PyTorch was allowed.
    """

    scenario: str
    estimator: str
    n_scenes: int
    statistics: dict[str, Statistic]
    batch_size: int
    threads: int


def compare(
    estimators: Mapping[str, Estimator],
    batches: Iterable[tuple[Scene, Csi]],
    scenario: str,
    on_progress: Callable[[str, int], None] | None = None,
) -> list[Row]:
    """Run every estimator on the same scenes: one row per scene and estimator.

    Each estimator is called once on a single scene before its first timed call, so that nothing it sets up counts.

    Args:
        estimators: by the name under which they are reported.
        batches: drawn scenes and their CSI; taken one batch at a time.
        scenario: name of the scenario that the scenes belong to.
        on_progress: called with the name of the estimator and the number of scenes done, after every batch.
    """
    rows: list[Row] = []
    first = 0
    with torch.inference_mode():
        for scene, csi in batches:
            size = len(csi.value)
            bounds = [joint_bound(scene, index) for index in range(size)]
            for name, estimator in estimators.items():
                if first == 0:
                    _timed(estimator, scene[:1], csi[:1])
                estimate, seconds = _timed(estimator, scene, csi)
                for index, bound in enumerate(bounds):
                    metrics = scene_metrics(scene, estimate, index, bound)
                    rows.append(
                        Row(scenario, first + index, name, metrics, seconds / size, size, torch.get_num_threads())
                    )
                if on_progress is not None:
                    on_progress(name, first + size)
            first += size
    return rows


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Mean, median and interval of every metric, per scenario and estimator, in the order of the rows.

    The interval of the mean is a percentile bootstrap over scenes (2000 resamples from a generator of fixed seed); that
    of success, a proportion, is the Wilson interval, because resampling equal outcomes gives no width. Scenes in which
    a metric is nan are left out of it, and of its n.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.scenario, row.estimator), []).append(row)
    return [
        Summary(
            scenario=scenario,
            estimator=estimator,
            n_scenes=len(group),
            statistics={name: _statistic(name, group) for name in (*METRICS, "time")},
            batch_size=max(row.batch_size for row in group),
            threads=max(row.threads for row in group),
        )
        for (scenario, estimator), group in groups.items()
    ]


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson score interval of a proportion at 95 % confidence; nan for n = 0."""
    if n == 0:
        return math.nan, math.nan
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    share, shrink = successes / n, 1 + z**2 / n
    middle = (share + z**2 / (2 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def statistic_of(values: Sequence[float] | NDArray[np.float64]) -> Statistic:
    """Statistic of numbers, one per scene; nan are left out. The interval is the percentile bootstrap's."""
    value = np.asarray(values, dtype=np.float64)
    value = value[~np.isnan(value)]
    if len(value) == 0:
        return Statistic(math.nan, math.nan, math.nan, math.nan, 0)
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    means = value[generator.integers(len(value), size=(RESAMPLES, len(value)))].mean(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Statistic(float(value.mean()), float(np.median(value)), float(low), float(high), len(value))


def _timed(estimator: Estimator, scene: Scene, csi: Csi) -> tuple[Estimate, float]:
    """Estimate and wall time [s]; work queued on a GPU is waited for."""
    wait = torch.cuda.synchronize if csi.value.is_cuda else (lambda: None)
    wait()
    start = time.perf_counter()
    estimate = estimator(csi, scene.assumed_array, scene.grid)
    wait()
    return estimate, time.perf_counter() - start


def _statistic(name: str, rows: Sequence[Row]) -> Statistic:
    value = np.array([row.value(name) for row in rows])
    statistic = statistic_of(value)
    if name != "success":
        return statistic
    low, high = wilson_interval(int(value.sum()), len(value))
    return Statistic(statistic.mean, statistic.median, low, high, statistic.n)
