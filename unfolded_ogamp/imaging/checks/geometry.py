"""Checks of shapes, units and delays: whether axes, hertz and metres agree with the geometry."""

from __future__ import annotations

import itertools
import math

import numpy as np

from unfolded_ogamp.imaging.checks.conventions import CONJUGATED, Arrays, Check, Verdict
from unfolded_ogamp.imaging.diagnosis.delays import direct_delay, longest_delay
from unfolded_ogamp.imaging.diagnosis.units import (
    LARGEST_PIXEL,
    NARROWEST,
    WIDEST,
    extent,
    frequency_unit,
    wave_speed,
    wavelength,
)
from unfolded_ogamp.imaging.files.arrays import CsiFile

CARRIER_RATIO = 2.0  # largest ratio between the carrier and the mean of the frequencies
MARGIN = 3.0  # standard deviations of the mean delay


def check_axes(arrays: Arrays) -> Check:
    """Whether the CSI is [n_tx, n_rx, K]; if not, whether another order of its axes is."""
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
    carrier = wave_speed(arrays) / wavelength(arrays)
    found = f"frequencies of {frequency.min():g} to {frequency.max():g}, wavelength {wavelength(arrays):.3g} m"
    if unit := frequency_unit(arrays):
        return Check("frequency", Verdict.FAIL, f"{found}: this looks like {unit}; hertz are expected.")
    if not 1 / CARRIER_RATIO < carrier / frequency.mean() < CARRIER_RATIO:
        return Check("frequency", Verdict.FAIL, f"{found}: carrier_frequency {carrier:g} is far from them.")
    return Check("frequency", Verdict.PASS, f"{found}.")


def check_lengths(arrays: Arrays) -> Check:
    """Whether lengths are plausible in metres, relative to the wavelength."""
    span = extent(arrays)
    pixel = float(arrays.get("pixel", 0)) / wavelength(arrays)
    found = f"the nodes span {span:.3g} wavelengths"
    if span < NARROWEST:
        return Check("lengths", Verdict.FAIL, f"{found}: too few to resolve anything; metres are expected.")
    if unit_in_doubt(arrays):
        return Check("lengths", Verdict.DOUBT, f"{found}: are positions in millimetres? Metres are expected.")
    if pixel > LARGEST_PIXEL:
        return Check("lengths", Verdict.DOUBT, f"{found}, and a pixel {pixel:.3g}: is it in the unit of the positions?")
    return Check("lengths", Verdict.PASS, f"{found}.")


def unit_in_doubt(arrays: Arrays) -> bool:
    """Whether the nodes span implausibly many wavelengths for positions in metres."""
    return extent(arrays) > WIDEST


def check_delays(file: CsiFile) -> Check:
    """Whether the mean delay lies between that of the shortest link and that of the longest path over the region."""
    name, frequency = "delays", file.array.frequency[0]
    spacing = float(frequency.sort().values.diff().min()) if len(frequency) > 1 else 0.0
    if spacing == 0:
        return Check(name, Verdict.UNDECIDED, "one frequency shows no delay.")
    shortest, longest = possible_delays(file)
    if longest * spacing > 0.5:
        found = f"delays of {longest:.3g} s are ambiguous with subcarriers {spacing:.3g} Hz apart."
        return Check(name, Verdict.UNDECIDED, found)
    mean, deviation = mean_delay(file)
    found = f"{1e9 * mean:.3g} ns on average (+- {1e9 * deviation:.2g}), geometry allows"
    found = f"{found} {1e9 * shortest:.3g} to {1e9 * longest:.3g}"
    margin = MARGIN * deviation
    if margin > (shortest + longest) / 2:
        return Check(name, Verdict.UNDECIDED, f"{found}: too uncertain.")
    if shortest - margin < mean < longest + margin:
        return Check(name, Verdict.PASS, f"{found}.")
    if shortest - margin < -mean < longest + margin:
        return Check(name, Verdict.FAIL, f"{found}, but with the other sign: {CONJUGATED.advice}.")
    return Check(name, Verdict.DOUBT, f"{found}: are clocks unsynchronised, or lengths not in metres?")


def mean_delay(file: CsiFile) -> tuple[float, float]:
    """Mean delay over links and paths, weighted by power, and its standard deviation, [s].

    A phase that falls by 2 pi df tau from one subcarrier to the next is a delay tau; node phases are the same on both
    and cancel. The standard deviation follows from the scatter of the links about the mean.
    """
    order = file.array.frequency[0].argsort()
    frequency, value = file.array.frequency[0][order], file.csi.value[0][..., order]
    spacing = frequency.diff()
    closest = (spacing - spacing.min()).abs() < 1e-3 * spacing.min()
    turn = (value[..., 1:] * value[..., :-1].conj())[..., closest][file.csi.link[0]].flatten()
    total = turn.sum()
    across = (turn * total.conj() / total.abs()).imag
    deviation = float(across.square().sum().sqrt() / total.abs())
    scale = 2 * math.pi * float(spacing[closest].mean())
    return -float(total.angle()) / scale, deviation / scale


def possible_delays(file: CsiFile) -> tuple[float, float]:
    """Shortest direct delay of a link, and longest over a corner of the region, [s]."""
    link = file.csi.link[0]
    direct, longest = direct_delay(file.array), longest_delay(file.array, file.grid)
    return float(direct[link].min()), float(longest[link].max())
