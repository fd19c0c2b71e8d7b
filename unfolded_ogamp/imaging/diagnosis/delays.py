"""The delays that the geometry allows, and the part of the CSI that no such delays explain.

On a link, all echoes of the region arrive between the direct path and the longest path over the region. Over the
subcarriers, the CSI of a link is therefore band-limited: it lies in the span of few modes, the discrete prolate
sequences (Slepian, "Prolate spheroidal wave functions, Fourier analysis, and uncertainty V", 1978). What lies outside
them is noise, or contradicts the order of the subcarriers or the clocks of the nodes.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.physics import SPEED_OF_LIGHT, Csi, NodeArray, PixelGrid, bistatic_delay, distances, phasor

MARGIN = 1.5  # width of the window of delays over that of the geometry; echoes from beside the region pass
UNKNOWN_NOISE = 1e-3  # assumed noise over the power of the CSI, if its variance is unknown
LEAK = 0.1  # largest power of echoes in a forbidden mode, over the noise
LEAST_LEAK, MOST_LEAK = 1e-6, 1e-2  # limits of that power over the power of the CSI
LEAST_WEIGHT = 1e-6  # of a subcarrier in the forbidden modes
SAME_LEVEL = 2.0  # ratio of powers that do not differ


@dataclass(frozen=True)
class Window:
    """Delays that the geometry allows.

    Attributes:
        middle: of the delays of each link [n_tx, n_rx], [s].
        width: of the widest window of all links, with a margin, [s].
    """

    middle: Tensor
    width: float


def delay_window(csi: Csi, array: NodeArray, grid: PixelGrid) -> Window:
    """The delays from the direct path to the longest path over a corner of the region; a batch of one."""
    direct, longest = direct_delay(array), longest_delay(array, grid)
    width = float((longest - direct)[csi.link[0]].max())
    return Window((direct + longest) / 2, MARGIN * width)


def direct_delay(array: NodeArray) -> Tensor:
    """Delay of the direct path of every link [n_tx, n_rx], [s]."""
    return distances(array.tx, array.rx)[0] / SPEED_OF_LIGHT


def longest_delay(array: NodeArray, grid: PixelGrid) -> Tensor:
    """Longest delay over the region of every link [n_tx, n_rx], [s]; a corner of the region has it."""
    half = float(grid.pixel[0]) / 2
    sides = zip((grid.centre[0].amin(0) - half).tolist(), (grid.centre[0].amax(0) + half).tolist(), strict=True)
    corners = torch.tensor(list(itertools.product(*sides)), dtype=grid.centre.dtype, device=grid.centre.device)
    return bistatic_delay(array, corners[None])[0].amax(-1)


def centred(value: Tensor, frequency: Tensor, delay: Tensor) -> Tensor:
    """CSI [n_tx, n_rx, K] advanced by a delay [n_tx, n_rx] [s], relative to the middle of the band."""
    offset = frequency - frequency.mean()
    return value * phasor(2 * math.pi * delay[..., None] * offset)


def forbidden(frequency: Tensor, width: float, share: float) -> Tensor:
    """Projection [K, K] on what no delays within +- `width` / 2 [s] produce.

    Delays spread evenly over the window have the covariance sinc(width (f_k - f_l)). Its eigenvectors whose share of
    the power is below `share` are forbidden.
    """
    covariance = torch.sinc(width * (frequency[:, None] - frequency))
    level, mode = torch.linalg.eigh(covariance)
    kept = mode[:, level < share * len(frequency)]
    return kept @ kept.mT


def forbidden_share(value: Tensor, noise_variance: Tensor | None) -> float:
    """Share of the power of CSI [links, K] in a mode below which noise hides it."""
    power = float(value.abs().square().mean())
    noise = UNKNOWN_NOISE if noise_variance is None else float(noise_variance) / max(power, 1e-300)
    return min(max(LEAST_LEAK, LEAK * noise), MOST_LEAK)


def power_outside(value: Tensor, projection: Tensor) -> float:
    """Mean power of CSI [links, K] in every forbidden mode; NaN if there is none."""
    n_modes = float(projection.diagonal().sum())
    if n_modes < 0.5 or len(value) == 0:
        return math.nan
    return float((value @ projection.to(value)).abs().square().sum()) / (n_modes * len(value))


def inconsistent_subcarriers(value: Tensor, projection: Tensor, ratio: float) -> Tensor:
    """The fewest subcarriers without which the power outside falls by `ratio` and no further: bool [K], or none.

    Greedy selection over all links at once: a subcarrier that is left out is a free unknown with one column of the
    projection (simultaneous orthogonal matching pursuit; Tropp, Gilbert and Strauss, 2006). At most half the forbidden
    modes are spent, so that the others confirm the choice.

    Args:
        value: CSI [links, K] with the delay in the middle of the window compensated.
        projection: of `forbidden` [K, K].
        ratio: least factor.
    """
    n_modes = round(float(projection.diagonal().sum()))
    outside, left = value @ projection.to(value), projection.clone()
    sets = [torch.zeros(value.shape[-1], dtype=torch.bool, device=value.device)]
    course = [float(outside.abs().square().sum()) / max(n_modes, 1)]
    for count in range(1, n_modes // 2 + 1):
        weight = left.diagonal()
        usable = weight > LEAST_WEIGHT
        score = torch.where(usable, outside.abs().square().sum(0) / weight.clamp(min=LEAST_WEIGHT), 0)
        index = int(score.argmax())
        column = left[:, index] / weight[index].sqrt()
        outside = outside - (outside @ column.to(outside))[:, None] * column.to(outside)
        left = left - column[:, None] * column
        sets.append(sets[-1].clone())
        sets[-1][index] = True
        course.append(float(outside.abs().square().sum()) / (n_modes - count))
    fewest = next(index for index, level in enumerate(course) if level <= SAME_LEVEL * min(course))
    return sets[fewest] if course[0] >= ratio * course[fewest] else sets[0]
