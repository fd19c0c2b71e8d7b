"""Checks of the sign and of the order of nodes: in which convention lines of sight or point scatterers fit best.

Both fits estimate the node phases. Wavefronts from a region near the nodes are curved with one sign: a few scatterers
cannot explain conjugated CSI or exchanged nodes. In the far field, or for a single scatterer, several conventions fit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.imaging.checks.conventions import (
    AS_IT_IS,
    ONE_CONJUGATED,
    Arrays,
    Check,
    Verdict,
    compare_conventions,
    conventions,
)
from unfolded_ogamp.imaging.files.arrays import CsiFile, from_arrays
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.greedy.persistence import Budget
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.inference.node_phases import fit_phases
from unfolded_ogamp.physics import link_phasor, los_channel

LOS_RATIO = 1.5  # of misfits; scattering perturbs the right phases, and node phases explain part of wrong ones
SCATTERER_RATIO = 2.0  # of misfits; the misfit of extended targets varies less than this by chance
SEARCH = GreedySettings(rounds=6)
SHORT, LONG = Budget(starts=2), Budget(starts=10)
FLUCTUATION = 2.0  # standard deviations of the mean residual of noise
LARGEST_SEARCH = 5e7  # positions x nodes x frequencies, 8 bytes each


def check_lines_of_sight(arrays: Arrays, unit_in_doubt: bool) -> list[Check]:
    """Check the CSI of trusted lines of sight against free space.

    If `los_channel` is given, the CSI is checked against it, and `los_channel` is checked against free space.
    """
    name, file = "line of sight", from_arrays(arrays)
    if not file.csi.los_trusted.any():
        return [Check(name, Verdict.UNDECIDED, "no link has a trusted line of sight.")]
    known = "los_channel" in arrays
    misfits = {}
    for convention in conventions(arrays, unit_in_doubt):
        read = from_arrays(convention.convert(arrays))
        measured = read.csi.los_channel if known else read.csi.value
        misfits[convention] = phase_misfit(measured, los_channel(read.array), read)
    if not known:
        return [compare_conventions(name, misfits, LOS_RATIO)]
    channels = {AS_IT_IS: file.csi.value, ONE_CONJUGATED: file.csi.value.conj()}
    to_known = {key: phase_misfit(value, file.csi.los_channel, file) for key, value in channels.items()}
    return [
        compare_conventions(name, to_known, LOS_RATIO),
        compare_conventions("known line of sight", misfits, LOS_RATIO),
    ]


def check_scatterers(arrays: Arrays, unit_in_doubt: bool) -> Check:
    """Check which convention leaves the smallest residual after a few rounds of the greedy estimator.

    A short search may fail by chance: a file fails only if a longer search does not fit it better.
    """
    name = "point scatterers"
    misfits = {
        convention: scatterer_misfit(from_arrays(convention.convert(arrays)), SHORT)
        for convention in conventions(arrays, unit_in_doubt)
    }
    if misfits[AS_IT_IS] == 1 and not unit_in_doubt:
        return Check(name, Verdict.UNDECIDED, "the region is too large to be searched; try a smaller roi.")
    check = compare_conventions(name, misfits, SCATTERER_RATIO)
    if check.verdict == Verdict.FAIL:
        misfits[AS_IT_IS] = min(misfits[AS_IT_IS], scatterer_misfit(from_arrays(arrays), LONG))
        check = compare_conventions(name, misfits, SCATTERER_RATIO)
    return check


def phase_misfit(measured: Tensor, reference: Tensor, file: CsiFile) -> float:
    """1 minus the mean cosine of the phase differences on trusted lines of sight, node phases fitted: 0 to 1.

    Args:
        measured, reference: complex [1, n_tx, n_rx, K]; their amplitudes do not count, since antennas have patterns.
        file: file with the trusted lines of sight.
    """
    trusted = file.csi.los_trusted
    turn = torch.sgn(measured * reference.conj()).movedim(-1, 0)[:, 0] * trusted
    tx, rx = fit_phases(turn, trusted.expand(len(turn), -1, -1)).split(list(trusted.shape[1:]), dim=1)
    aligned = (turn * link_phasor(tx[..., None], rx[..., None])[..., 0]).sum((1, 2)).abs()
    return max(0.0, 1 - float(aligned.mean() / trusted.sum()))


def scatterer_misfit(file: CsiFile, budget: Budget) -> float:
    """Share of the power in the residual of the greedy estimator, minus the noise if that is known: 0 to 1.

    It is at least the random fluctuation of the noise. A region too large for a search has misfit 1.
    """
    if search_size(file) > LARGEST_SEARCH:
        return 1.0
    with torch.inference_mode():
        estimate = GreedyEstimator(SEARCH, budget)(file.csi, file.array, file.grid)
    value = file.csi.value[0][file.csi.link[0]]
    power = float(value.abs().square().mean())
    noise = 0.0 if file.csi.noise_variance is None else float(file.csi.noise_variance)
    fluctuation = FLUCTUATION * noise / math.sqrt(value.numel())
    return max(fluctuation, float(estimate.residual) - noise) / power


def search_size(file: CsiFile) -> float:
    """Positions x nodes x frequencies in a search grid of the region."""
    per_axis = (file.grid.pixel / file.array.wavelength / SEARCH.detection.spacing).ceil().clamp(min=1)
    n_positions = file.grid.centre.shape[1] * float(per_axis) ** file.grid.centre.shape[2]
    return n_positions * sum(file.csi.link.shape[1:]) * file.csi.value.shape[-1]
