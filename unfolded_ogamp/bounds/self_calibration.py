"""The joint bound if nodes deviate from their list and targets are extended: a Bayesian bound with Gaussian priors.

The unknowns are positions, reflectivities and node phases, shifts and gains of the nodes, and moments of the targets.
The Jacobian is the exact derivative of the simulated CSI, by automatic differentiation. Fisher and prior information
add up (van Trees, *Detection, Estimation, and Modulation Theory*, part I, section 2.4).

A rigid motion of nodes and scatterers together does not change the CSI. Only the priors of the nodes limit it, so that
errors are stated twice: absolute, and aligned, without the rigid motion that fits them best.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.physics import (
    NodeArray,
    Scene,
    aligned_covariance,
    distances,
    gain_constant,
    link_phase,
    los_channel,
    node_wave,
    unit_vectors,
)
from unfolded_ogamp.settings import Settings, not_negative

FREE_PHASE = 1e3  # standard deviation of the prior of a node phase [rad], which only fixes the gauge
ORDERS = (2, 3, 4)  # of the moments
UNIT = 1 / 8  # of the displacements in a target, in carrier wavelengths


@dataclass(frozen=True)
class NodePrior(Settings):
    """Prior standard deviations; 0 means known.

    Attributes:
        node_std: of every coordinate of a node, [m].
        gain_std: of the amplitude gain of a node, [dB].
        moment_std: of the complex moments of a target over its reflectivity; 0 for point scatterers.
    """

    node_std: Annotated[float, not_negative] = 0.0
    gain_std: Annotated[float, not_negative] = 0.0
    moment_std: Annotated[float, not_negative] = 0.0


@dataclass(frozen=True)
class CalibrationBound:
    """Bounds of one scene.

    Attributes:
        position_rms, position_rms_aligned: root mean square distance over the scatterers [m].
        node_rms, node_rms_aligned: the same over the nodes [m].
        phase_rms: root mean square error of the node phases, without the mean of each side [rad].
        gain_rms: root mean square error of the logarithms of the gains.
        covariance: of all unknowns [P, P], in the order of `_sizes`.
    """

    position_rms: float
    position_rms_aligned: float
    node_rms: float
    node_rms_aligned: float
    phase_rms: float
    gain_rms: float
    covariance: Tensor


def calibration_bound(scene: Scene, index: int, prior: NodePrior) -> CalibrationBound:
    """Bounds of scene `index` of a batch on its measured links, in float64.

    The Jacobian is that at the true values; the moments are zero there. A phase error between all Tx and all Rx, and a
    common phase, cannot be observed without a line of sight. Wide priors of the phases stand for their absence.
    """
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    deviation, signal = _deviations(one, prior), _signal(one)
    free = deviation > 0
    moving = free[: _sizes(one, moments=False)[-1]].nonzero()[:, 0]
    zero = torch.zeros(_sizes(one, moments=False)[-1], dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of PyTorch's own rules of differentiation
        jacobian = torch.func.jacfwd(lambda change: signal(zero.index_add(0, moving, change)))(zero[moving])
    if prior.moment_std > 0:
        jacobian = torch.cat([jacobian, moment_columns(one)], dim=1)
    fisher = 2 * jacobian.mT @ jacobian / one.noise_variance[0]
    information = fisher + torch.diag(deviation[free].square().reciprocal())
    scale = information.diagonal().rsqrt()
    inverse = torch.linalg.inv(scale[:, None] * information * scale) * scale[:, None] * scale
    covariance = torch.zeros(len(free), len(free), dtype=torch.float64)
    covariance[free.nonzero(), free.nonzero()[:, 0]] = inverse
    return _figures(one, covariance, prior.moment_std > 0)


def _sizes(scene: Scene, moments: bool) -> list[int]:
    """Ends of the groups of unknowns: positions, reflectivities, phases, shifts, levels, moments."""
    n_scatterers, dimension = scene.position.shape[1:]
    nodes = sum(scene.link.shape[1:])
    n_moments = 2 * n_scatterers * len(_exponents(dimension)) if moments else 0
    counts = [n_scatterers * dimension, 2 * n_scatterers, nodes, nodes * dimension, nodes, n_moments]
    return list(itertools.accumulate(counts))


def _exponents(dimension: int) -> list[tuple[int, ...]]:
    """Axes of the factors of every monomial."""
    return [axes for order in ORDERS for axes in itertools.combinations_with_replacement(range(dimension), order)]


def _deviations(scene: Scene, prior: NodePrior) -> Tensor:
    """Prior standard deviations of all unknowns; infinite without a prior, 0 if they are known."""
    ends = [0, *_sizes(scene, prior.moment_std > 0)]
    of_gain = prior.gain_std * math.log(10) / 20
    # real and imaginary part of a moment have half the variance each
    values = [math.inf, math.inf, FREE_PHASE, prior.node_std, of_gain, prior.moment_std / math.sqrt(2)]
    parts = [
        torch.full((end - start,), value) for (start, end), value in zip(itertools.pairwise(ends), values, strict=False)
    ]
    return torch.cat(parts).double()


def _signal(scene: Scene) -> Callable[[Tensor], Tensor]:
    """The CSI on the measured links as a real vector, of deviations of all unknowns from the truth."""
    array, link = scene.array, scene.link[0]
    n_scatterers, dimension = scene.position.shape[1:]
    n_tx, n_rx = link.shape
    ends = _sizes(scene, moments=False)

    def channel(change: Tensor) -> Tensor:
        position, reflectivity, phase, shift, level, _ = torch.tensor_split(change, ends[:-1])
        real, imaginary = reflectivity.split(n_scatterers)
        points = scene.position + position.reshape(1, n_scatterers, dimension)
        strength = torch.complex(scene.reflectivity.real[0] + real, scene.reflectivity.imag[0] + imaginary)
        tx_shift, rx_shift = shift.reshape(1, n_tx + n_rx, dimension).split([n_tx, n_rx], dim=1)
        moved = replace(array, tx=array.tx + tx_shift, rx=array.rx + rx_shift)
        echo = _echoes(moved, points, strength)
        total = echo.sum(-1) + (los_channel(moved)[0] * scene.los[0, ..., None]).movedim(-1, 0)
        tx_level, rx_level = level.split([n_tx, n_rx])
        tx_phase, rx_phase = phase.split([n_tx, n_rx])
        true_phase = link_phase(scene.tx_phase[..., :1], scene.rx_phase[..., :1])[0, ..., 0]
        exponent = torch.complex(tx_level[:, None] + rx_level, rx_phase - tx_phase[:, None] - true_phase)
        measured = (total * exponent.exp())[:, link]
        return torch.cat([measured.real.flatten(), measured.imag.flatten()])

    return channel


def moment_columns(scene: Scene) -> Tensor:
    """Derivatives of the real vector of the CSI by real and imaginary parts of the moments: [samples, 2 S M]."""
    array, position, link = scene.array, scene.position, scene.link[0]
    towards = [unit_vectors(nodes, position)[0] for nodes in (array.tx, array.rx)]
    direction = towards[0][:, :, None] + towards[1][:, None]  # [D, n_tx, n_rx, S]
    exponents = _exponents(position.shape[-1])
    monomials = torch.stack([direction[list(axes)].prod(0) for axes in exponents], dim=-1)
    kappa = (array.wavenumber[0] * array.wavelength * UNIT)[:, None, None, None, None]
    scaled = monomials * kappa ** torch.tensor([len(axes) for axes in exponents])
    phase = link_phase(scene.tx_phase[..., :1], scene.rx_phase[..., :1])[0, ..., 0]
    echo = _echoes(array, position, scene.reflectivity[0]) * torch.polar(torch.ones_like(phase), -phase)[..., None]
    columns = (echo[..., None] * scaled)[:, link].flatten(0, 1).flatten(1)
    parts = torch.cat([columns, 1j * columns], dim=1)
    return torch.cat([parts.real, parts.imag])


def _echoes(array: NodeArray, position: Tensor, reflectivity: Tensor) -> Tensor:
    """Echo of every scatterer at [1, S, D] on every link: complex [K, n_tx, n_rx, S]."""
    tx, rx = (node_wave(array, distances(nodes, position), gain)[0] for nodes, gain in array.sides)
    return tx[:, :, None] * rx[:, None] * gain_constant(array) * reflectivity


def _figures(scene: Scene, covariance: Tensor, moments: bool) -> CalibrationBound:
    """Root mean square errors from the covariance of all unknowns."""
    ends = [0, *_sizes(scene, moments)]
    position, _, phase, shift, level, _ = (covariance[start:end, start:end] for start, end in itertools.pairwise(ends))
    nodes = torch.cat([scene.array.tx[0], scene.array.rx[0]])
    n_tx, count = scene.link.shape[1], len(nodes)

    def rms(block: Tensor, number: int) -> float:
        return math.sqrt(max(float(block.diagonal().sum()), 0.0) / number)

    mean = torch.zeros_like(phase)
    mean[:n_tx, :n_tx], mean[n_tx:, n_tx:] = 1 / n_tx, 1 / (count - n_tx)
    rest = torch.eye(count).double() - mean
    return CalibrationBound(
        position_rms=rms(position, len(scene.position[0])),
        position_rms_aligned=rms(aligned_covariance(position, scene.position[0]), len(scene.position[0])),
        node_rms=rms(shift, count),
        node_rms_aligned=rms(aligned_covariance(shift, nodes), count),
        phase_rms=rms(rest @ phase @ rest.mT, count),
        gain_rms=rms(level, count),
        covariance=covariance,
    )
