"""A check, and the rule by which two ways to read a measurement are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from unfolded_ogamp.imaging.checks.readings import AS_IT_IS, Reading

LITTLE, MUCH = 0.05, 0.5  # misfit of a reading that fits, and of one that does not fit at all


class Verdict(StrEnum):
    """What a check says; `UNTOLD` where the measurement holds nothing that could tell."""

    PASS = "pass"
    DOUBT = "doubt"
    FAIL = "fail"
    UNTOLD = "untold"


@dataclass(frozen=True)
class Check:
    """One question to a measurement.

    Attributes:
        name: what is asked.
        verdict: the answer.
        sentence: what was found, and what to do about it.
    """

    name: str
    verdict: Verdict
    sentence: str


def compare_readings(name: str, misfits: Mapping[Reading, float], clearly: float) -> Check:
    """The check that a file is best read as it is; a reading is wrong if it fits clearly worse, and not well.

    Args:
        name: of the check.
        misfits: what a fit leaves over of each reading, `AS_IT_IS` and at least one other, as a share.
        clearly: times the misfit of the right reading that a wrong one has at least.
    """
    own = misfits[AS_IT_IS]
    rival, other = min((pair for pair in misfits.items() if pair[0] != AS_IT_IS), key=lambda pair: pair[1])
    found = f"misfit {100 * own:.3g} % as it is, {100 * other:.3g} % if {rival.name}"
    if max(own, other) < LITTLE:
        return Check(name, Verdict.UNTOLD, f"{found}: both fit.")
    if own * clearly < other:
        return Check(name, Verdict.PASS, f"{found}, the next best.")
    if other * clearly < own:
        return Check(name, Verdict.FAIL, f"{found}: {rival.advice}.")
    if min(own, other) < MUCH:
        return Check(name, Verdict.UNTOLD, f"{found}: not told apart.")
    return Check(name, Verdict.DOUBT, f"{found}: neither fits; check positions, los, roi and pixel.")
