"""The paper's bound on the node phases with the image known, and the noise that they add to imaging: (54)-(59).

The paper derives (54) at high SNR, where it is the variance of the angle of y h*. As a Cramer-Rao bound it holds at any
SNR, and so J_k below it is the Fisher matrix itself. Only (56) and (59) are approximations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.physics import Scene, incidence_matrix, is_connected, noise_free_csi, path_loss, reference_node


@dataclass(frozen=True)
class PhaseBound:
    """Bound on the phases of P = n_tx + n_rx - 1 nodes and of the M links between them, on K subcarriers.

    Attributes:
        node_covariance: of the node phases, without the reference node of (7) [K, P, P], [rad^2].
        link_variance: of the link phases, in the order of the rows of G [M, K], [rad^2]. No gauge is removed: with the
            image known a link phase is observable.
        synchronisation_noise: noise that such phase errors add to the CSI used for imaging, (57) [M, K], in the units
            of |CSI|^2.
    """

    node_covariance: Tensor
    link_variance: Tensor
    synchronisation_noise: Tensor


@dataclass(frozen=True)
class PaperBound:
    """The paper's phase bound of one scene.

    Attributes:
        per_subcarrier: (54), (58), every subcarrier with separate phases.
        common: the same with one phase per node on all subcarriers, as everywhere else in this package.
        approximate: (56), (59), every subcarrier with separate phases.
    """

    per_subcarrier: PhaseBound
    common: PhaseBound
    approximate: PhaseBound


def paper_phase_bound(scene: Scene, index: int) -> PaperBound:
    """Phase bound of scene `index` of a batch with positions and reflectivities known, in float64.

    Raises:
        ValueError: if the links do not join all nodes into one network, there are no scatterers or there is no noise.
    """
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    link, noise = one.link[0], one.noise_variance[0]
    if not is_connected(link):
        raise ValueError("expected links that join all nodes into one network, got separate parts")
    if one.position.shape[1] == 0:
        raise ValueError("expected at least one scatterer, got none")
    if not noise > 0:
        raise ValueError(f"expected a positive noise variance, got {float(noise)}")
    incidence = incidence_matrix(link, reference_node(link))
    channel_power = noise_free_csi(one)[0][link].abs().square()
    information = node_phase_information(incidence, link_phase_variance(channel_power, noise))
    approximate = approximate_node_covariance(incidence, mean_path_power(one), one.position.shape[1], noise)

    def bound(node_covariance: Tensor) -> PhaseBound:
        node_covariance = node_covariance.expand_as(information)
        variance = link_variance(incidence, node_covariance)
        return PhaseBound(node_covariance, variance, synchronisation_noise(channel_power, variance))

    return PaperBound(
        per_subcarrier=bound(torch.linalg.inv(information)),
        common=bound(torch.linalg.inv(information.sum(0))),
        approximate=bound(approximate),
    )


def link_phase_variance(channel_power: Tensor, noise_variance: Tensor) -> Tensor:
    """(54): variance sigma^2 / (2 |h|^2) of the phase of a link from its own CSI, [M, K] to [M, K], [rad^2].

    |h|^2 is (55), with the line of sight where the CSI contains it.
    """
    return noise_variance / (2 * channel_power)


def node_phase_information(incidence: Tensor, variance: Tensor) -> Tensor:
    """J_k = G^T Sigma_k^-1 G below (54), from G [M, P] and the diagonal of Sigma_k [M, K]: [K, P, P], [1/rad^2].

    With one phase per node on all subcarriers the information is the sum over k.
    """
    return incidence.T @ (incidence / variance.T[..., None])


def approximate_node_covariance(incidence: Tensor, path_power: Tensor, n_scatterers: int, noise: Tensor) -> Tensor:
    """(56): sigma^2 / (2 |A| g) (G^T G)^-1, with every link at the power |A| g of as many incoherent paths: [P, P].

    The paper leaves the constant open; 1 / (2 g), with g the mean power of a path over links and scatterers, is the one
    that (54) gives. It contains no line of sight. On 20 scenes of the paper's setting it puts the root mean square link
    phase at 0.945 of the exact bound, 0.880 to 0.984, but that of a single link at 0.6 to 2.1: the powers of a
    node's links make its phase, and they fall with its distance.
    """
    return noise / (2 * n_scatterers * path_power) * torch.linalg.inv(incidence.T @ incidence)


def mean_path_power(scene: Scene) -> Tensor:
    """Mean |a x|^2 over the links and scatterers of a batch of one scene, in the units of |CSI|^2."""
    amplitude = scene.reflectivity[0].abs() / path_loss(scene.array, scene.position)[0]
    return amplitude[scene.link[0]].square().mean()


def link_variance(incidence: Tensor, node_covariance: Tensor) -> Tensor:
    """[G C G^T]_mm of (58): variance of every link phase from the covariance C [K, P, P]; [M, K], [rad^2]."""
    return ((incidence @ node_covariance) * incidence).sum(-1).T


def synchronisation_noise(channel_power: Tensor, variance: Tensor) -> Tensor:
    """(57): variance of h exp(-j delta) - h for a small phase error delta of this variance, [M, K].

    With the exact bound (58) its sum over the links is sigma^2 P / 2 for any scene, the noise in P real dimensions.
    Neither a better network nor more scatterers lower the sum.
    """
    return channel_power * variance
