"""The CSI file (.npz): one measured or simulated scene.

Required: `tx` [n_tx, D], `rx` [n_rx, D] [m], `frequency` [K] [Hz], `csi` complex [n_tx, n_rx, K] of any scale.

Optional:
    carrier_frequency: [Hz]; the mean of `frequency`.
    wave_speed: of waves other than light, such as sound [m/s]; frequencies are scaled on reading, so that wavelengths
        are right.
    loss: "spherical", or "cylindrical" for two-dimensional propagation, where amplitudes fall with the root of the
        distance; spherical.
    tx_gain [n_tx], rx_gain [n_rx]: amplitude gains of the antennas, positive; 1.
    tx_phase_std [n_tx], rx_phase_std [n_rx]: standard deviation of the node phases about zero, or one for all [rad]; 0
        for all if they are known, as on one oscillator. Unknown by default; nodes that no chain of links joins need it.
    tx_std [n_tx], rx_std [n_rx]: standard deviation of every coordinate of a listed node, or one for all [m]; found
        from the CSI.
    gain_std: standard deviation of the amplitude gains [dB]; found from the CSI.
    link: bool [n_tx, n_rx], false where the link was never measured (`csi` may be NaN there); all true.
    los: bool [n_tx, n_rx], links whose CSI contains the line of sight; all false, with a warning if `los_channel` is
        there, which does not imply that the CSI contains it.
    los_channel: complex [n_tx, n_rx, K], the line-of-sight part as measured or known; free space (9), scaled to
        the CSI where the two differ by more than a factor of three.
    los_trusted: bool [n_tx, n_rx], links whose line of sight may be used for coarse synchronisation; `los`.
    noise_variance: of the complex noise; unknown.
    pixel: side of a pixel [m]; two thirds of the carrier wavelength.
    roi: [2, D] lower and upper corner of the region of interest [m]; the middle half of the bounding box of the nodes,
        which suits nodes all around a region. A whole number of pixels, rounded, covers it about its middle.
    truth_position [S, D] [m], truth_reflectivity [S], truth_tx_phase [n_tx] or [n_tx, K], truth_rx_phase alike [rad]:
        for evaluation; estimators do not use it.
Other keys are ignored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.files import read_npz, write_npz
from unfolded_ogamp.imaging.files.arrays import KEYS, LOSS_EXPONENTS, REQUIRED, CsiFile, checked
from unfolded_ogamp.physics import Csi, Scene


class CsiFileError(InputError):
    """A CSI file that cannot be used; the message is one line."""


def load_csi(path: str | Path) -> CsiFile:
    """Read and check a CSI file.

    Raises:
        CsiFileError: with one line: what was expected, what was found.
    """
    try:
        return checked(read_npz(path, KEYS, REQUIRED))
    except ValueError as error:
        raise CsiFileError(f"{path}: {error}") from error


def save_csi(path: str | Path, scene: Scene, csi: Csi, truth: bool = True) -> None:
    """Write one scene, a batch of one on a regular grid, and its CSI; readers never find a part of the file."""
    if len(csi.value) != 1:
        raise ValueError(f"a CSI file holds one scene, got a batch of {len(csi.value)}")
    array, half = scene.assumed_array, scene.grid.pixel[0] / 2
    centre = scene.grid.centre[0]
    tensors = {
        "tx": array.tx[0],
        "rx": array.rx[0],
        "frequency": array.frequency[0],
        "carrier_frequency": array.carrier_frequency[0],
        "csi": csi.value[0],
        "link": csi.link[0],
        "los": csi.los[0],
        "los_trusted": csi.los_trusted[0],
        "roi": torch.stack([centre.amin(0) - half, centre.amax(0) + half]),
        "pixel": scene.grid.pixel[0],
    }
    if csi.los.any():
        tensors["los_channel"] = csi.los_channel[0]
    if csi.noise_variance is not None:
        tensors["noise_variance"] = csi.noise_variance[0]
    if csi.phases_known is not None and bool(csi.phases_known[0]):
        tensors |= {f"{side}_phase_std": torch.zeros(len(tensors[side])) for side in ("tx", "rx")}
    n_tx = array.tx.shape[1]
    if csi.phase_std is not None:
        tensors |= {"tx_phase_std": csi.phase_std[0, :n_tx], "rx_phase_std": csi.phase_std[0, n_tx:]}
    if csi.node_std is not None:
        tensors |= {"tx_std": csi.node_std[0, :n_tx], "rx_std": csi.node_std[0, n_tx:]}
    if csi.gain_std is not None:
        tensors["gain_std"] = csi.gain_std[0]
    for key, gain in (("tx_gain", array.tx_gain), ("rx_gain", array.rx_gain)):
        if gain is not None:
            tensors[key] = gain[0]
    if truth:
        tensors["truth_position"] = scene.position[0]
        tensors["truth_reflectivity"] = scene.reflectivity[0]
        tensors["truth_tx_phase"] = scene.tx_phase[0]
        tensors["truth_rx_phase"] = scene.rx_phase[0]
    arrays = {key: tensor.detach().cpu().numpy() for key, tensor in tensors.items()}
    if array.loss_exponent is not None:
        arrays["loss"] = np.array(_loss_name(float(array.loss_exponent)))
    write_npz(path, arrays)


def _loss_name(exponent: float) -> str:
    for name, value in LOSS_EXPONENTS.items():
        if value == exponent:
            return name
    raise ValueError(f"a CSI file holds a loss exponent of {list(LOSS_EXPONENTS.values())}, got {exponent}")
