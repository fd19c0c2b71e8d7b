"""Ray-traced channels of Sionna RT, `sionna.rt.Paths`, as CSI. Sionna itself is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class Paths(Protocol):
    """The attributes of `sionna.rt.Paths` that are read; Dr.Jit tensors, which NumPy converts.

    Attributes:
        a: real and imaginary parts of the coefficients [n_rx, n_rx_antennas, n_tx, n_tx_antennas, P].
        tau: delays [n_rx, n_tx, P] or, without synthetic arrays, of the shape of `a`, [s].
        valid: which paths there are, shaped like `tau`.
        interactions: type of every interaction, of shape [depth, *shape of `tau`]; zero for none.
        sources, targets: positions of the transmitters [3, n_tx] and of the receivers [3, n_rx], [m].
    """

    @property
    def a(self) -> tuple[Any, Any]: ...
    @property
    def tau(self) -> Any: ...
    @property
    def valid(self) -> Any: ...
    @property
    def interactions(self) -> Any: ...
    @property
    def sources(self) -> Any: ...
    @property
    def targets(self) -> Any: ...


def sionna_arrays(paths: Paths, frequency: Sequence[float]) -> dict[str, np.ndarray]:
    """Arrays of a CSI file, see `from_arrays`, from ray-traced paths.

    The CSI is the sum of a exp(-j 2 pi f tau) over all paths; paths without interaction are the known line of sight.
    Nodes at one height become two-dimensional.

    Args:
        paths: as a path solver returns them, one antenna per radio device.
        frequency: subcarriers [K], absolute and near the frequency of the scene, [Hz].

    Raises:
        ValueError: if a device has more than one antenna.
    """
    coefficient = np.array(paths.a[0]) + 1j * np.array(paths.a[1])
    n_rx, n_rx_antennas, n_tx, n_tx_antennas, n_paths = coefficient.shape
    if (n_rx_antennas, n_tx_antennas) != (1, 1):
        raise ValueError(f"expected one antenna per device, found {n_tx_antennas} at Tx and {n_rx_antennas} at Rx")
    shape = (n_rx, n_tx, n_paths)
    valid = np.array(paths.valid, bool).reshape(shape)
    delay = np.where(valid, np.array(paths.tau, float).reshape(shape), 0)
    gain = np.where(valid, coefficient.reshape(shape), 0)
    direct = valid & ~np.array(paths.interactions, bool).reshape(-1, *shape).any(0)
    turns = np.asarray(frequency, float) * delay[..., None]
    waves = gain[..., None] * np.exp(-2j * np.pi * turns)
    tx, rx = (np.array(positions, float).T for positions in (paths.sources, paths.targets))
    heights = np.concatenate([tx, rx])[:, 2]
    dimension = 2 if np.ptp(heights) == 0 else 3
    return {
        "tx": tx[:, :dimension],
        "rx": rx[:, :dimension],
        "frequency": np.asarray(frequency, float),
        "csi": waves.sum(2).swapaxes(0, 1),
        "los": direct.any(2).T,
        "los_channel": np.where(direct[..., None], waves, 0).sum(2).swapaxes(0, 1),
    }
