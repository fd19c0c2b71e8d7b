"""Units of a file: whether frequencies are in hertz and lengths in metres, from the wavelength and the geometry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from unfolded_ogamp.imaging.diagnosis.finding import Finding, Severity
from unfolded_ogamp.physics import SPEED_OF_LIGHT, NodeArray

SHORTEST, LONGEST = 1e-6, 100.0  # wavelengths that are plausible, [m]
NARROWEST, WIDEST = 1.0, 3000.0  # extent of the nodes, in wavelengths
LARGEST_PIXEL = 3.0  # wavelengths
UNITS = {1e9: "GHz", 1e6: "MHz", 1e3: "kHz"}


def wave_speed(arrays: Mapping[str, np.ndarray]) -> float:
    """Speed of the waves [m/s]: the key `wave_speed`, or that of light."""
    return float(arrays.get("wave_speed", SPEED_OF_LIGHT))


def wavelength(arrays: Mapping[str, np.ndarray]) -> float:
    """Carrier wavelength, [m] if frequencies are in hertz."""
    return wave_speed(arrays) / float(arrays.get("carrier_frequency", np.mean(arrays["frequency"])))


def extent(arrays: Mapping[str, np.ndarray]) -> float:
    """Longest side of the bounding box of all nodes, in wavelengths."""
    nodes = np.concatenate([arrays["tx"], arrays["rx"]])
    return float(np.ptp(nodes, axis=0).max()) / wavelength(arrays)


def frequency_unit(arrays: Mapping[str, np.ndarray]) -> str | None:
    """The unit that frequencies seem to have, if it is not hertz: the first that suits the extent of the nodes."""
    own = wave_speed(arrays) / float(np.mean(arrays["frequency"]))
    if np.min(arrays["frequency"]) > 0 and SHORTEST <= own <= LONGEST:
        return None
    for factor, unit in UNITS.items():
        span = extent(arrays) * wavelength(arrays) / own * factor
        if SHORTEST <= own / factor <= LONGEST and NARROWEST <= span <= WIDEST:
            return unit
    return "an unknown unit"


def suspicion(arrays: Mapping[str, np.ndarray]) -> str:
    """What is suspected of the units, as one clause; empty if they are plausible."""
    if unit := frequency_unit(arrays):
        frequency = np.asarray(arrays["frequency"], float)
        return f"frequencies of {frequency.min():g} to {frequency.max():g} seem to be in {unit}; hertz are expected"
    return _lengths(extent(arrays))


def unit_findings(array: NodeArray) -> list[Finding]:
    """The finding that lengths do not seem to be in metres; a batch of one."""
    nodes = torch.cat([array.tx, array.rx], dim=1)[0]
    clause = _lengths(float((nodes.amax(0) - nodes.amin(0)).max() / array.wavelength))
    return [Finding("lengths", clause, "Give tx, rx, roi and pixel in metres", Severity.DOUBT)] if clause else []


def _lengths(span: float) -> str:
    if span <= WIDEST:
        return ""
    return f"the nodes span {span:.3g} wavelengths: lengths seem to be in millimetres; metres are expected"
