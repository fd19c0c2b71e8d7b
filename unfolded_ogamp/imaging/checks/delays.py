"""Whether the delays that the frequencies show are those that the geometry allows."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from unfolded_ogamp.imaging.checks.check import Check, Verdict
from unfolded_ogamp.imaging.checks.readings import CONJUGATED
from unfolded_ogamp.imaging.files.arrays import CsiFile
from unfolded_ogamp.physics import SPEED_OF_LIGHT, bistatic_delay, distances

SURE = 3.0  # standard deviations
NAME = "delays"


def check_delays(file: CsiFile) -> Check:
    """Whether the mean delay lies between that of the shortest link and that of the longest detour over the region."""
    frequency = file.array.frequency[0]
    spacing = float(frequency.sort().values.diff().min()) if len(frequency) > 1 else 0.0
    if spacing == 0:
        return Check(NAME, Verdict.UNTOLD, "one frequency shows no delay.")
    shortest, longest = possible_delays(file)
    if longest * spacing > 0.5:
        return Check(NAME, Verdict.UNTOLD, f"subcarriers {spacing:.3g} Hz apart do not tell delays of {longest:.3g} s.")
    mean, deviation = mean_delay(file)
    found = f"{1e9 * mean:.3g} ns on average (+- {1e9 * deviation:.2g}), geometry allows"
    found = f"{found} {1e9 * shortest:.3g} to {1e9 * longest:.3g}"
    margin = SURE * deviation
    if margin > (shortest + longest) / 2:
        return Check(NAME, Verdict.UNTOLD, f"{found}: too uncertain to tell.")
    if shortest - margin < mean < longest + margin:
        return Check(NAME, Verdict.PASS, f"{found}.")
    if shortest - margin < -mean < longest + margin:
        return Check(NAME, Verdict.FAIL, f"{found}, but with the other sign: {CONJUGATED.advice}.")
    return Check(NAME, Verdict.DOUBT, f"{found}: are clocks apart (see coarse synchronisation), or lengths no metres?")


def mean_delay(file: CsiFile) -> tuple[float, float]:
    """Mean delay over links and paths by their power, and its standard deviation, [s].

    A phase that falls by 2 pi df tau from one subcarrier to the next is a delay tau; node phases, the same on both,
    drop out. Links scatter about the mean as their own paths have it and noise turns them.
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
    link, grid = file.csi.link[0], file.grid
    half = float(grid.pixel[0]) / 2
    sides = zip((grid.centre[0].amin(0) - half).tolist(), (grid.centre[0].amax(0) + half).tolist(), strict=True)
    corners = torch.tensor(list(itertools.product(*sides)), dtype=grid.centre.dtype)
    direct: Tensor = distances(file.array.tx, file.array.rx)[0] / SPEED_OF_LIGHT
    return float(direct[link].min()), float(bistatic_delay(file.array, corners[None])[0][link].max())
