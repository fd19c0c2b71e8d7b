"""Whether lines of sight have the phases that the positions give them, whatever the phases of the nodes."""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.checks.check import Check, Verdict, compare_readings
from unfolded_ogamp.imaging.checks.readings import AS_IT_IS, ONE_CONJUGATED, Arrays, Reading, readings
from unfolded_ogamp.imaging.files.arrays import CsiFile, from_arrays
from unfolded_ogamp.inference.node_phases import fit_phases
from unfolded_ogamp.physics import link_phasor, los_channel

NAME = "line of sight"
KNOWN = "known line of sight"
CLEARLY = 1.5  # scattering turns the right phases too, and node phases explain part of wrong ones


def check_lines_of_sight(arrays: Arrays, vast: bool) -> list[Check]:
    """The CSI against the geometry, or where the line of sight is known, the CSI against that and that against it."""
    file = from_arrays(arrays)
    if not file.csi.los_trusted.any():
        return [Check(NAME, Verdict.UNTOLD, "no link has a trusted one, so that nothing is known of it.")]
    known = "los_channel" in arrays
    misfits = {}
    for reading in readings(arrays, vast):
        read = from_arrays(reading.of(arrays))
        measured = read.csi.los_channel if known else read.csi.value
        misfits[reading] = misfit(measured, los_channel(read.array), read)
    checks = [compare_readings(KNOWN if known else NAME, misfits, CLEARLY)]
    if known:
        checks.insert(0, compare_readings(NAME, _against_known(file), CLEARLY))
    return checks


def _against_known(file: CsiFile) -> dict[Reading, float]:
    """Misfits of the CSI, and of its conjugate, to the line of sight that is known."""
    channels = {AS_IT_IS: file.csi.value, ONE_CONJUGATED: file.csi.value.conj()}
    return {reading: misfit(value, file.csi.los_channel, file) for reading, value in channels.items()}


def misfit(measured: Tensor, reference: Tensor, file: CsiFile) -> float:
    """1 minus the mean cosine of the phases by which trusted lines of sight differ, node phases fitted: 0 to 1.

    Args:
        measured, reference: complex [1, n_tx, n_rx, K]; only their phases count, antennas have patterns.
        file: whose links are meant.
    """
    trusted = file.csi.los_trusted
    turn = torch.sgn(measured * reference.conj()).movedim(-1, 0)[:, 0] * trusted
    tx, rx = fit_phases(turn, trusted.expand(len(turn), -1, -1)).split(list(trusted.shape[1:]), dim=1)
    aligned = (turn * link_phasor(tx[..., None], rx[..., None])[..., 0]).sum((1, 2)).abs()
    return max(0.0, 1 - float(aligned.mean() / trusted.sum()))
