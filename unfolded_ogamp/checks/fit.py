"""Which reading of a file point scatterers and node phases explain best.

Waves that spread over a region near the nodes bend one way only: conjugated, or between the wrong nodes, no few
scatterers explain them, whatever the phases of the nodes. Far away, or where a scatterer is alone, both readings fit.
"""

from __future__ import annotations

import torch

from unfolded_ogamp.checks.check import Check, Verdict, compare_readings
from unfolded_ogamp.checks.readings import AS_IT_IS, Arrays, readings
from unfolded_ogamp.data import CsiFile, from_arrays
from unfolded_ogamp.estimators import GreedyEstimator
from unfolded_ogamp.estimators.greedy import GreedySettings

NAME = "point scatterers"
QUICK = GreedySettings(starts=2, rounds=6)
LARGEST_SEARCH = 5e7  # positions x nodes x frequencies, 8 bytes each


def check_fit(arrays: Arrays, vast: bool) -> Check:
    """Whether a few quick rounds of the greedy estimator leave least of the file as it is."""
    misfits = {reading: misfit(from_arrays(reading.of(arrays))) for reading in readings(arrays, vast)}
    if misfits[AS_IT_IS] == 1 and not vast:
        return Check(NAME, Verdict.UNTOLD, "the region is too large to be searched; try a smaller roi.")
    return compare_readings(NAME, misfits)


def misfit(file: CsiFile) -> float:
    """Share of the power that is left over beyond the noise, as far as that is known.

    A region too large to be searched leaves everything.
    """
    if search_size(file) > LARGEST_SEARCH:
        return 1.0
    with torch.inference_mode():
        estimate = GreedyEstimator(QUICK)(file.csi, file.array, file.grid)
    link = file.csi.link[0]
    power = file.csi.value[0][link].abs().square().mean()
    noise = 0.0 if file.csi.noise_variance is None else file.csi.noise_variance[0]
    return max(0.0, float((estimate.residual[0] - noise) / power))


def search_size(file: CsiFile) -> float:
    """Positions x nodes x frequencies that a search of the region holds."""
    per_axis = (file.grid.pixel / file.array.wavelength / QUICK.spacing).ceil().clamp(min=1)
    n_positions = file.grid.centre.shape[1] * float(per_axis) ** file.grid.centre.shape[2]
    return n_positions * sum(file.csi.link.shape[1:]) * file.csi.value.shape[-1]
