"""Results of checks of a CSI file, and the conventions of a file: sign of the exponent, order of axes, unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

Arrays = Mapping[str, np.ndarray]

CHANNELS = ("csi", "los_channel")
PER_LINK = (*CHANNELS, "link", "los", "los_trusted")
LENGTHS = ("tx", "rx", "roi", "pixel")
GOOD_MISFIT, POOR_MISFIT = 0.05, 0.5  # of a convention that fits the file, and of one that does not


class Verdict(StrEnum):
    """Result of a check; `UNDECIDED` where the measurement holds no evidence either way."""

    PASS = "pass"
    DOUBT = "doubt"
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Check:
    """Result of one check of a measurement.

    Attributes:
        name: of the property that is checked.
        verdict: the result.
        sentence: the finding and its remedy.
    """

    name: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Convention:
    """A convention of a file, and the conversion of its arrays to the convention of this package.

    Attributes:
        name: completes "the misfit is 3 % if ...".
        advice: remedy for the user.
        conjugate: the channels have the opposite sign in their exponents.
        swap: the first axis of all arrays per link is that of the Rx.
        scale: metres per unit of length of the file.
    """

    name: str
    advice: str
    conjugate: bool = False
    swap: bool = False
    scale: float = 1.0

    def convert(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """The arrays of a file in this convention, converted to that of this package."""
        changed = dict(arrays)
        for key in changed.keys() & set(CHANNELS) if self.conjugate else ():
            changed[key] = changed[key].conj()
        for key in changed.keys() & set(PER_LINK) if self.swap else ():
            changed[key] = changed[key].swapaxes(0, 1)
        for key in changed.keys() & set(LENGTHS) if self.scale != 1 else ():
            changed[key] = changed[key] * self.scale
        return changed


CONJUGATE = "take the complex conjugate of csi and los_channel"
SWAP = "swap the first two axes of csi and of all other arrays per link"

AS_IT_IS = Convention("as it is", "nothing to do")
CONJUGATED = Convention("conjugated", CONJUGATE, conjugate=True)
SWAPPED = Convention("Tx and Rx are swapped", SWAP, swap=True)
BOTH = Convention("swapped and conjugated", f"{SWAP}, and {CONJUGATE}", conjugate=True, swap=True)
IN_MILLIMETRES = Convention("in millimetres", "give positions, roi and pixel in metres", scale=1e-3)
ONE_CONJUGATED = Convention(
    "csi alone is conjugated", "csi and los_channel have opposite exponents: conjugate one of them"
)


def conventions(arrays: Arrays, unit_in_doubt: bool) -> tuple[Convention, ...]:
    """The conventions that the shapes allow; millimetres only if the unit of length is in doubt."""
    square = len(arrays["tx"]) == len(arrays["rx"])
    return (
        *(AS_IT_IS, CONJUGATED),
        *((SWAPPED, BOTH) if square else ()),
        *((IN_MILLIMETRES,) if unit_in_doubt else ()),
    )


def compare_conventions(name: str, misfits: Mapping[Convention, float], least_ratio: float) -> Check:
    """Check that the file as it is fits the measurement better than every other convention.

    A remedy is named only if it is the only one that fits.

    Args:
        name: of the check.
        misfits: unexplained share of the measurement in each convention, `AS_IT_IS` and at least one other.
        least_ratio: of the misfit of a wrong convention to that of the right one.
    """
    own = misfits[AS_IT_IS]
    alternative, other = min((pair for pair in misfits.items() if pair[0] != AS_IT_IS), key=lambda pair: pair[1])
    found = f"misfit {100 * own:.3g} % as it is, {100 * other:.3g} % if {alternative.name}"
    if max(own, other) < GOOD_MISFIT:
        return Check(name, Verdict.UNDECIDED, f"{found}: both fit.")
    if own * least_ratio < other:
        return Check(name, Verdict.PASS, f"{found}, the next best.")
    if other * least_ratio < own:
        alike = [key for key, misfit in misfits.items() if key != AS_IT_IS and misfit < least_ratio * other]
        if len(alike) == 1:
            return Check(name, Verdict.FAIL, f"{found}: {alternative.advice}.")
        names = " or ".join(key.name for key in alike)
        return Check(name, Verdict.FAIL, f"{found}, but several conventions fit alike ({names}): none is certain.")
    if min(own, other) < POOR_MISFIT:
        return Check(name, Verdict.UNDECIDED, f"{found}: too similar to decide.")
    return Check(name, Verdict.DOUBT, f"{found}: neither fits; check positions, los, roi and pixel.")
