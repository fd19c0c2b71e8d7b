"""The text format (.exp) of the Institut Fresnel's scattering measurements, first opus.

Belkebir and Saillard, Special section: Testing inversion algorithms against experimental data, Inverse Problems 17
(2001) 1565-1571. Header lines are followed by rows of seven numbers: label of the transmitter (1 to 36), label of the
receiver (1 to 72), frequency [GHz], real and imaginary part of the total field and of the incident field, which was
measured without a target. The phase convention exp(-j k d) is that of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unfolded_ogamp.physics import SPEED_OF_LIGHT

N_TX, N_RX = 36, 72
TX_RADIUS, RX_RADIUS = 0.72, 0.76  # [m]
TX_START = -2.7  # angle of the first transmitter, [degrees]; the labels say 0, but the incident field fits this angle
BORESIGHT = 60.0  # angle from the opposite side of the circle within which antennas face each other, [degrees]
REGION = 0.15  # [m], half the side of the square that holds the targets
PIXEL = 0.3  # wavelengths


def fresnel_arrays(path: str | Path, frequency: Sequence[float]) -> dict[str, np.ndarray]:
    """Arrays of a CSI file, see `from_arrays`, from an .exp file.

    The CSI is the total field; the incident field is its known line of sight, trusted where the horn antennas face
    each other.

    Args:
        path: the file.
        frequency: frequencies of the file to use, [Hz].

    Raises:
        ValueError: with one line: what was expected, what was found.
    """
    rows = _rows(path)
    links = np.isin(rows[:, 0], range(1, N_TX + 1)) & np.isin(rows[:, 1], range(1, N_RX + 1))
    if not links.all():
        found = rows[~links][0, :2].tolist()
        raise ValueError(f"{path}: expected transmitters 1 to {N_TX} and receivers 1 to {N_RX}, found {found}")
    fields = np.full((2, N_TX, N_RX, len(frequency)), np.nan, complex)
    for k, value in enumerate(frequency):
        chosen = rows[np.isclose(rows[:, 2] * 1e9, value)]
        if not len(chosen):
            present = ", ".join(f"{1e9 * present:g}" for present in np.unique(rows[:, 2]))
            raise ValueError(f"{path}: expected frequencies among {present} Hz, found {value:g}")
        tx, rx = chosen[:, :2].astype(int).T - 1
        fields[0, tx, rx, k], fields[1, tx, rx, k] = (chosen[:, 3::2] + 1j * chosen[:, 4::2]).T
    link = np.isfinite(fields).all((0, 3))
    total, incident = np.where(link[..., None], fields, 0)
    tx_angle, rx_angle = (np.arange(count) * 360 / count for count in (N_TX, N_RX))
    apart = np.abs(np.mod(rx_angle - tx_angle[:, None], 360) - 180)
    return {
        "tx": _circle(TX_RADIUS, tx_angle + TX_START),
        "rx": _circle(RX_RADIUS, rx_angle),
        "frequency": np.asarray(frequency, float),
        "csi": total,
        "link": link,
        "los": link,
        "los_channel": incident,
        "los_trusted": link & (apart <= BORESIGHT),
        "roi": np.array([[-REGION] * 2, [REGION] * 2]),
        "pixel": np.array(PIXEL * SPEED_OF_LIGHT / float(np.mean(frequency))),
    }


def _circle(radius: float, angle: np.ndarray) -> np.ndarray:
    """Positions [n, 2] [m] at angles [n] [degrees]."""
    return radius * np.stack([np.cos(np.radians(angle)), np.sin(np.radians(angle))], axis=1)


def _rows(path: str | Path) -> np.ndarray:
    """The rows [n, 7]; all lines before the first one of seven numbers are the header."""
    lines = [line.split() for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines()]
    rows: list[list[float]] = []
    for number, words in enumerate(lines, start=1):
        numbers = _numbers(words)
        if len(numbers) == 7:
            rows.append(numbers)
        elif rows and words:
            raise ValueError(f"{path}: expected seven numbers in line {number}, found {' '.join(words)!r}")
    if not rows:
        raise ValueError(f"{path}: expected rows of seven numbers, found none")
    return np.array(rows)


def _numbers(words: Sequence[str]) -> list[float]:
    """The words as numbers; empty if one of them is not a number."""
    try:
        return [float(word) for word in words]
    except ValueError:
        return []
