"""What the numbers themselves say: shapes, frequencies in hertz, lengths in metres."""

from __future__ import annotations

import itertools

import numpy as np

from unfolded_ogamp.imaging.checks.check import Check, Verdict
from unfolded_ogamp.imaging.checks.readings import Arrays
from unfolded_ogamp.physics import SPEED_OF_LIGHT

LOWEST, HIGHEST = 1e6, 1e12  # [Hz]
NARROWEST, WIDEST = 1.0, 3000.0  # wavelengths from node to node
LARGEST_PIXEL = 3.0  # wavelengths
FACTOR = 2.0  # between the carrier and the mean of the frequencies


def check_axes(arrays: Arrays) -> Check:
    """Whether the CSI is [n_tx, n_rx, K], or would be with its axes in another order."""
    expected = tuple(len(arrays[key]) for key in ("tx", "rx", "frequency"))
    found = arrays["csi"].shape
    shape = f"csi is {list(found)} with {expected[0]} Tx, {expected[1]} Rx and {expected[2]} frequencies"
    if found == expected:
        return Check("axes", Verdict.PASS, f"{shape}.")
    orders = [order for order in itertools.permutations(range(3)) if tuple(found[i] for i in order) == expected]
    advice = f"its axes are in the order {list(orders[0])}: transpose it" if orders else "they do not fit one another"
    return Check("axes", Verdict.FAIL, f"{shape}: {advice}.")


def check_frequency(arrays: Arrays) -> Check:
    """Whether frequencies are in hertz."""
    frequency = np.asarray(arrays["frequency"], float)
    carrier = float(arrays.get("carrier_frequency", frequency.mean()))
    found = f"frequencies of {frequency.min():g} to {frequency.max():g}, wavelength {SPEED_OF_LIGHT / carrier:.3g} m"
    if not (frequency.min() >= LOWEST and frequency.max() <= HIGHEST):
        unit = "GHz" if frequency.max() < 1e3 else "MHz" if frequency.max() < LOWEST else "no hertz"
        return Check("frequency", Verdict.FAIL, f"{found}: this looks like {unit}; hertz are expected.")
    if not 1 / FACTOR < carrier / frequency.mean() < FACTOR:
        return Check("frequency", Verdict.FAIL, f"{found}: carrier_frequency {carrier:g} is far from them.")
    return Check("frequency", Verdict.PASS, f"{found}.")


def check_lengths(arrays: Arrays) -> Check:
    """Whether lengths are in metres, as far as that can be told from wavelengths."""
    wavelength = SPEED_OF_LIGHT / float(arrays.get("carrier_frequency", np.mean(arrays["frequency"])))
    nodes = np.concatenate([arrays["tx"], arrays["rx"]])
    span = float(np.ptp(nodes, axis=0).max()) / wavelength
    pixel = float(arrays.get("pixel", 0)) / wavelength
    found = f"the nodes span {span:.3g} wavelengths"
    if span < NARROWEST:
        return Check("lengths", Verdict.FAIL, f"{found}: nothing can be told apart; metres are expected.")
    if is_vast(arrays):
        return Check("lengths", Verdict.DOUBT, f"{found}: are positions in millimetres? Metres are expected.")
    if pixel > LARGEST_PIXEL:
        return Check("lengths", Verdict.DOUBT, f"{found}, and a pixel {pixel:.3g}: is it in the unit of the positions?")
    return Check("lengths", Verdict.PASS, f"{found}.")


def is_vast(arrays: Arrays) -> bool:
    """Whether the nodes are so many wavelengths apart that their unit is in doubt."""
    wavelength = SPEED_OF_LIGHT / float(arrays.get("carrier_frequency", np.mean(arrays["frequency"])))
    return float(np.ptp(np.concatenate([arrays["tx"], arrays["rx"]]), axis=0).max()) > WIDEST * wavelength
