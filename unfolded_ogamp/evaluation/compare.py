"""Comparison of estimators on the same scenes, and its statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from unfolded_ogamp.evaluation.scoring import Scoring
from unfolded_ogamp.evaluation.statistics import Statistic, proportion_of, statistic_of
from unfolded_ogamp.records import first_tensor
from unfolded_ogamp.scenes import Batch

Estimator = Callable[..., Any]


@dataclass(frozen=True)
class Row:
    """Result of one estimator on one scene.

    Attributes:
        scenario: name of the scenario.
        scene: number of the scene, counted over all batches.
        estimator: name of the estimator.
        metrics: metrics of the estimate, as returned by `score` of the system.
        time: wall time of the batch over the number of its scenes [s].
        batch_size: number of scenes estimated in one call.
        threads: number of threads of PyTorch.
    """

    scenario: str
    scene: int
    estimator: str
    metrics: Any
    time: float
    batch_size: int
    threads: int

    def value(self, name: str) -> float:
        """A metric, or the time, as a number."""
        return self.time if name == "time" else float(getattr(self.metrics, name))


@dataclass(frozen=True)
class Summary:
    """Results of one estimator over the scenes of one scenario.

    Attributes:
        scenario, estimator: names.
        n_scenes: number of scenes.
        statistics: statistics of every metric, and of `time`.
        batch_size: size of the largest batch.
        threads: number of threads of PyTorch.
    """

    scenario: str
    estimator: str
    n_scenes: int
    statistics: dict[str, Statistic]
    batch_size: int
    threads: int


def compare(
    estimators: Mapping[str, Estimator],
    batches: Iterable[Batch],
    scenario: str,
    scoring: Scoring,
    on_progress: Callable[[str, int], None] | None = None,
) -> list[Row]:
    """Run every estimator on the same scenes: one row per scene and estimator.

    Each estimator is called once on a single scene before its first timed call, so that one-time setup is not timed.

    Args:
        estimators: estimators by name.
        batches: drawn scenes and their measurements; read one batch at a time.
        scenario: name of the scenario of the scenes.
        scoring: metrics of the system.
        on_progress: called after every batch with the name of the estimator and the number of scenes done.
    """
    rows: list[Row] = []
    first = 0
    with torch.inference_mode():
        for scene, measurement in batches:
            size = len(first_tensor(measurement))
            bounds = [scoring.bound(scene, index) for index in range(size)]
            for name, estimator in estimators.items():
                if first == 0:
                    _timed(estimator, scoring.inputs(scene[:1], measurement[:1]))
                estimate, seconds = _timed(estimator, scoring.inputs(scene, measurement))
                for index, bound in enumerate(bounds):
                    metrics = scoring.score(scene, estimate, index, bound)
                    rows.append(
                        Row(scenario, first + index, name, metrics, seconds / size, size, torch.get_num_threads())
                    )
                if on_progress is not None:
                    on_progress(name, first + size)
            first += size
    return rows


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Mean, median and interval of every metric, per scenario and estimator, in the order of the rows.

    The interval of the mean is a percentile bootstrap over scenes. For a metric that is true or false it is the Wilson
    interval, because a bootstrap of equal outcomes has no width. Scenes with a nan metric do not count for that metric.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.scenario, row.estimator), []).append(row)
    return [
        Summary(
            scenario=scenario,
            estimator=estimator,
            n_scenes=len(group),
            statistics={name: _statistic(name, group) for name in (*metric_names(group[0].metrics), "time")},
            batch_size=max(row.batch_size for row in group),
            threads=max(row.threads for row in group),
        )
        for (scenario, estimator), group in groups.items()
    ]


def metric_names(metrics: Any) -> tuple[str, ...]:
    """Names of the metrics in a result of `score`."""
    return tuple(field.name for field in fields(metrics))


def _timed(estimator: Estimator, inputs: tuple[Any, ...]) -> tuple[Any, float]:
    """The estimate and its wall time [s], including work queued on a GPU."""
    wait: Callable[[], object] = torch.cuda.synchronize if first_tensor(inputs[0]).is_cuda else (lambda: None)
    wait()
    start = time.perf_counter()
    estimate = estimator(*inputs)
    wait()
    return estimate, time.perf_counter() - start


def _statistic(name: str, rows: Sequence[Row]) -> Statistic:
    values = [row.value(name) for row in rows]
    is_proportion = name != "time" and isinstance(getattr(rows[0].metrics, name), bool)
    return proportion_of(values) if is_proportion else statistic_of(values)
