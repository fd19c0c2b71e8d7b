"""The metrics of a system, for comparison, report and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unfolded_ogamp.evaluation.tables import Column

SECONDS = Column("time per scene", "ms", 1e3, 1)


@dataclass(frozen=True)
class Scoring:
    """The metrics of a system.

    Attributes:
        inputs: arguments of an estimator, from a batch of scenes and its measurement; they must not hold the truth, and
            the first is a `Record`.
        bound: bound on the errors of one scene of a batch, from (scene, index).
        score: metrics of one scene of a batch, from (scene, estimate, index, bound): a frozen dataclass of numbers. A
            metric that is true or false is averaged as a proportion.
        columns: print format of the metrics, by name; metrics without a column are only in the files.
        shown: main metrics, for narrow tables; the first is printed with its interval.
        on_card: metrics on the model card.
        regions: kinds of confidence regions, and their names in figures. The metrics KIND_inside_50, _90 and _99 are
            the shares of the true values inside the regions of each kind.
    """

    inputs: Callable[[Any, Any], tuple[Any, ...]]
    bound: Callable[[Any, int], Any]
    score: Callable[[Any, Any, int, Any], Any]
    columns: Mapping[str, Column]
    shown: tuple[str, ...]
    on_card: tuple[str, ...]
    regions: Mapping[str, str] = field(default_factory=dict)

    def column(self, metric: str) -> Column:
        """Print format of a metric or of the time."""
        return SECONDS if metric == "time" else self.columns[metric]
