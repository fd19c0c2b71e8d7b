"""Ways in which the arrays of a CSI file may have been meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]

CHANNELS = ("csi", "los_channel")
PER_LINK = (*CHANNELS, "link", "los", "los_trusted")
LENGTHS = ("tx", "rx", "roi", "pixel")


@dataclass(frozen=True)
class Reading:
    """What would have to be changed in a file so that it means what this package takes it to mean.

    Attributes:
        name: that completes "the file fits better if ...".
        advice: what to do.
        conjugate: the channels have the other sign in their exponents.
        swap: the first axis of what links have is that of the Rx.
        scale: metres in the unit of length of the file.
    """

    name: str
    advice: str
    conjugate: bool = False
    swap: bool = False
    scale: float = 1.0

    def of(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """The arrays that mean what the given ones do in this reading."""
        changed = dict(arrays)
        for key in changed.keys() & set(CHANNELS) if self.conjugate else ():
            changed[key] = changed[key].conj()
        for key in changed.keys() & set(PER_LINK) if self.swap else ():
            changed[key] = changed[key].swapaxes(0, 1)
        for key in changed.keys() & set(LENGTHS) if self.scale != 1 else ():
            changed[key] = changed[key] * self.scale
        return changed


CONJUGATE = "take the complex conjugate of csi and los_channel"
SWAP = "swap the first two axes of csi and of all else per link"

AS_IT_IS = Reading("as it is", "nothing to do")
CONJUGATED = Reading("conjugated", CONJUGATE, conjugate=True)
SWAPPED = Reading("Tx and Rx are swapped", SWAP, swap=True)
BOTH = Reading("swapped and conjugated", f"{SWAP}, and {CONJUGATE}", conjugate=True, swap=True)
IN_MILLIMETRES = Reading("in millimetres", "give positions, roi and pixel in metres", scale=1e-3)
ONE_CONJUGATED = Reading(
    "csi alone is conjugated", "csi and los_channel have opposite exponents: conjugate one of them"
)


def readings(arrays: Arrays, vast: bool) -> tuple[Reading, ...]:
    """The readings that the shapes of the arrays allow; millimetres only where the region is `vast`."""
    square = len(arrays["tx"]) == len(arrays["rx"])
    return (
        *(AS_IT_IS, CONJUGATED),
        *((SWAPPED, BOTH) if square else ()),
        *((IN_MILLIMETRES,) if vast else ()),
    )
