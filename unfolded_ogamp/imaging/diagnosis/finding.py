"""A finding about a measurement: its evidence, and its cure if only one explains the CSI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

MOST_NAMES = 6  # in a sentence


class Severity(StrEnum):
    """How much a finding matters for an estimate.

    `DECISIVE`: a model of points and node phases cannot fit the CSI as the file gives it. `DOUBT`: a part is left out,
    or the result may be wrong. `LIMIT`: the file may be right, but the CSI does not decide everything.
    """

    DECISIVE = "decisive"
    DOUBT = "doubt"
    LIMIT = "limit"


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        name: of the finding, two or three words.
        evidence: one sentence with numbers, without a full stop.
        cure: what was done, or what the user can do; empty if several cures explain the CSI alike.
        severity: how much it matters.
    """

    name: str
    evidence: str
    cure: str
    severity: Severity

    @property
    def line(self) -> str:
        """The finding as one line of text."""
        sentences = [f"{self.name}: {self.evidence}", *([self.cure] if self.cure else [])]
        return ". ".join(sentences)


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"; the count instead of the last names if there are many."""
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def node_names(chosen: Tensor, n_tx: int) -> list[str]:
    """Names, numbered from 0, of the nodes chosen by bool [n_tx + n_rx], Tx first."""
    indices = chosen.nonzero()[:, 0].tolist()
    return [f"Tx {index}" if index < n_tx else f"Rx {index - n_tx}" for index in indices]


def link_names(chosen: Tensor) -> list[str]:
    """Names, numbered from 0, of the links chosen by bool [n_tx, n_rx]."""
    return [f"Tx {i} to Rx {j}" for i, j in chosen.nonzero().tolist()]


def subcarrier_names(chosen: Tensor) -> str:
    """Numbers, from 0, of the subcarriers chosen by bool [K]."""
    numbers = [str(index) for index in chosen.nonzero()[:, 0].tolist()]
    return f"subcarrier {numbers[0]}" if len(numbers) == 1 else f"subcarriers {listed(numbers)}"
