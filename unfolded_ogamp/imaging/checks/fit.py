"""Which reading of a file point scatterers and node phases explain best.

Waves that spread over a region near the nodes bend one way only: conjugated, or between the wrong nodes, no few
scatterers explain them, whatever the phases of the nodes. Far away, or where a scatterer is alone, both readings fit.
"""

from __future__ import annotations

import math

import torch

from unfolded_ogamp.imaging.checks.check import Check, Verdict, compare_readings
from unfolded_ogamp.imaging.checks.readings import AS_IT_IS, Arrays, readings
from unfolded_ogamp.imaging.files.arrays import CsiFile, from_arrays
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.greedy.settings import GreedySettings, RestartSettings

NAME = "point scatterers"
QUICK = GreedySettings(restarts=RestartSettings(starts=2), rounds=6)
LONG = GreedySettings(restarts=RestartSettings(starts=10), rounds=6)
CLEARLY = 2.0  # what targets with size leave does not come to this by chance
FLUCTUATION = 2.0  # standard deviations of the mean residual of noise
LARGEST_SEARCH = 5e7  # positions x nodes x frequencies, 8 bytes each


def check_fit(arrays: Arrays, vast: bool) -> Check:
    """Whether a few quick rounds of the greedy estimator leave least of the file as it is.

    A search may fail by chance: before the file is said to be wrong, it gets a longer one.
    """
    misfits = {reading: misfit(from_arrays(reading.of(arrays)), QUICK) for reading in readings(arrays, vast)}
    if misfits[AS_IT_IS] == 1 and not vast:
        return Check(NAME, Verdict.UNTOLD, "the region is too large to be searched; try a smaller roi.")
    check = compare_readings(NAME, misfits, CLEARLY)
    if check.verdict == Verdict.FAIL:
        misfits[AS_IT_IS] = min(misfits[AS_IT_IS], misfit(from_arrays(arrays), LONG))
        check = compare_readings(NAME, misfits, CLEARLY)
    return check


def misfit(file: CsiFile, settings: GreedySettings) -> float:
    """Share of the power that is left over beyond the noise, as far as that is known, and its chance fluctuations.

    A region too large to be searched leaves everything.
    """
    if search_size(file) > LARGEST_SEARCH:
        return 1.0
    with torch.inference_mode():
        estimate = GreedyEstimator(settings)(file.csi, file.array, file.grid)
    value = file.csi.value[0][file.csi.link[0]]
    power = float(value.abs().square().mean())
    noise = 0.0 if file.csi.noise_variance is None else float(file.csi.noise_variance)
    chance = FLUCTUATION * noise / math.sqrt(value.numel())
    return max(chance, float(estimate.residual) - noise) / power


def search_size(file: CsiFile) -> float:
    """Positions x nodes x frequencies that a search of the region holds."""
    per_axis = (file.grid.pixel / file.array.wavelength / QUICK.detection.spacing).ceil().clamp(min=1)
    n_positions = file.grid.centre.shape[1] * float(per_axis) ** file.grid.centre.shape[2]
    return n_positions * sum(file.csi.link.shape[1:]) * file.csi.value.shape[-1]
