"""How metrics are written for people: on screens, on model cards, in tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One metric in print.

    Attributes:
        name: what it is called.
        unit: of the printed number; empty where there is none.
        scale: what the metric is multiplied by to be in that unit.
        digits: after the point.
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
        """ "mean [low, high]"; "-" where there is no mean."""
        return "-" if self.number(mean) == "-" else f"{self.number(mean)} [{self.number(low)}, {self.number(high)}]"


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    ruler = ["---"] * len(header)
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ruler, *lines))
