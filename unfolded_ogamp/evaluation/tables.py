"""Print formats of metrics, for screens, model cards and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """Print format of a metric.

    Attributes:
        name: name in tables.
        unit: unit of the printed number, empty if it has none.
        scale: factor from the metric to that unit.
        digits: number of digits after the point.
    """

    name: str
    unit: str
    scale: float
    digits: int

    @property
    def heading(self) -> str:
        """Name and unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    def number(self, value: float | None) -> str:
        """One value of the metric; "-" for None and what is not finite."""
        return "-" if value is None or not math.isfinite(value) else f"{self.scale * value:.{self.digits}f}"

    def interval(self, mean: float | None, low: float | None, high: float | None) -> str:
        """ "mean [low, high]"; "-" without a mean."""
        return "-" if self.number(mean) == "-" else f"{self.number(mean)} [{self.number(low)}, {self.number(high)}]"


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    ruler = ["---"] * len(header)
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ruler, *lines))
