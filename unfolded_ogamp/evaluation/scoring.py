"""How the estimates of a system are judged: what the comparison, the report and the figures know of a system."""

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
        inputs: what an estimator is called with, from a batch of scenes and its measurement: nothing that it may not
            know.
        bound: the bound on the errors of one scene of a batch, from (scene, index).
        score: the metrics of one scene of a batch, from (scene, estimate, index, bound): a frozen dataclass of numbers.
            A metric that is true or false is averaged as a proportion.
        columns: how metrics are printed, by name; those without a column are only in the files.
        shown: the metrics that say most, for narrow tables; the first comes with its interval.
        on_card: the metrics on the card of a network.
        regions: kinds of confidence regions, and what they are called in figures. Of each kind there are metrics
            KIND_inside_50, _90 and _99, the shares of the truths that lie inside.
    """

    inputs: Callable[[Any, Any], tuple[Any, ...]]
    bound: Callable[[Any, int], Any]
    score: Callable[[Any, Any, int, Any], Any]
    columns: Mapping[str, Column]
    shown: tuple[str, ...]
    on_card: tuple[str, ...]
    regions: Mapping[str, str] = field(default_factory=dict)

    def column(self, metric: str) -> Column:
        """How a metric, or the time, is printed."""
        return SECONDS if metric == "time" else self.columns[metric]
