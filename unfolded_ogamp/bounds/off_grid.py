"""The noise that the first-order off-grid model (11) adds where it is not recentred: equations (60)-(63).

Both figures are variances in the units of |CSI|^2, comparable with the noise variance, and contain the second order of
the Taylor series only. In the paper's setting they agree with the error of the model to within 15 % up to pixels of a
quarter of a wavelength, where this error is an eighth of the scattered power. At the paper's own two thirds of a
wavelength they are twice the error, which is 3.6 times the scattered power: there the model needs recentring.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.physics import (
    NodeArray,
    Scene,
    amplitude_rate,
    distances,
    path_loss,
    propagation_gain,
    unit_vectors,
)


def off_grid_variance(scene: Scene, index: int, pixel: float) -> float:
    """sigma_off^2 of scene `index`: (61) with the exact Hessian, mean over links and subcarriers, in float64.

    Scatterers are taken to lie uniformly in a pixel of this side [m] around their true positions. Their errors add up
    in power, as the phases of their paths are unrelated. The remainder is that of (11): in pixels below a hundredth of
    a wavelength the slope of the amplitude, which (12) leaves out, is the larger error of the model.
    """
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    error = expected_remainder(gain_hessian(one.array, one.position), pixel)[0]
    return float((error[one.link[0]] * one.reflectivity[0].abs().square()).sum(-1).mean())


def off_grid_scaling_law(scene: Scene, index: int, pixel: float) -> float:
    """(62)-(63) of scene `index`: c P mean_k (2 pi / lambda_k)^4 E |dp|^4, in float64.

    The paper leaves the constant open. Here P is the mean power of the scattered part of the CSI, paths added up in
    power, and c = 3 (D + 1) / (D^2 (D + 2)), 9 / 16 in the plane and 4 / 15 in space, that of plane waves from and to
    nodes in all directions: a fourth of E |u_tx + u_rx|^4 = 4 + 4 / D times E cos^4 = 3 / (D (D + 2)) of the angle
    between that vector and the offset.

    (63) keeps the factor 1 / K of (62) although the sum over k is gone: more subcarriers do not lower the error.
    """
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    dimension = one.position.shape[-1]
    constant = 3 * (dimension + 1) / (dimension**2 * (dimension + 2))
    amplitude = one.reflectivity[0].abs() / path_loss(one.array, one.position)[0]
    power = amplitude[one.link[0]].square().sum(-1).mean()
    return constant * float(power * one.array.wavenumber.pow(4).mean()) * fourth_moment(pixel, dimension)


def gain_hessian(array: NodeArray, position: Tensor) -> Tensor:
    """Hessian of (60): second derivatives of the gain (1) at every position [B, N, D] [m], amplitude and phase.

    The gain is exp(psi) with psi a sum of a Tx and an Rx term, so that its Hessian is the gain times
    grad psi grad psi^T + Hessian of psi. The paper keeps -(2 pi / lambda)^2 of it.

    Returns:
        complex [B, n_tx, n_rx, K, N, D, D], [1/m^2].
    """
    (tx_slope, tx_curvature), (rx_slope, rx_curvature) = (
        _logarithmic_derivatives(array, nodes, position) for nodes in (array.tx, array.rx)
    )
    slope = tx_slope[:, :, None] + rx_slope[:, None]
    curvature = tx_curvature[:, :, None] + rx_curvature[:, None]
    relative = slope[..., :, None] * slope[..., None, :] + curvature
    return propagation_gain(array, position)[..., None, None] * relative


def expected_remainder(hessian: Tensor, pixel: float) -> Tensor:
    """(61): E |dp^T H dp / 2|^2 for dp uniform in a pixel of this side [m]; [..., D, D] to [...].

    From E dp_d^4 = pixel^4 / 80 and E dp_d^2 dp_e^2 = pixel^4 / 144.
    """
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    pairs = diagonal.sum(-1).abs().square() + 2 * hessian.abs().square().sum((-2, -1))
    return pixel**4 / 4 * (pairs / 144 - diagonal.abs().square().sum(-1) / 120)


def fourth_moment(pixel: float, dimension: int) -> float:
    """E |dp|^4 of (62)-(63) for dp uniform in a square or cubic pixel of this side [m]: [m^4]."""
    return pixel**4 * (dimension / 80 + dimension * (dimension - 1) / 144)


def _logarithmic_derivatives(array: NodeArray, nodes: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient [B, n, K, N, D] and Hessian [B, n, K, N, D, D] over the position of the logarithm of `node_wave`."""
    distance = distances(nodes, position)
    decay = amplitude_rate(array, distance)[:, :, None, :, None]
    rate = decay - 1j * array.wavenumber[:, None, :, None, None]
    direction = unit_vectors(nodes, position).movedim(1, -1)[:, :, None]
    along = direction[..., :, None] * direction[..., None, :]
    across = torch.eye(position.shape[-1], dtype=position.dtype) - along
    curvature = rate[..., None] * across - decay[..., None] * along
    return rate * direction, curvature / distance[:, :, None, :, None, None]
