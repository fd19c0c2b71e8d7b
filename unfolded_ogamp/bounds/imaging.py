"""Cramer-Rao bounds of a scene: what any unbiased estimator can reach at best."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from unfolded_ogamp.physics import NodeArray, Scene, los_channel, propagation_gain


@dataclass(frozen=True)
class Bound:
    """Cramer-Rao bounds of one scene; inf where the measurements do not determine the unknowns.

    The joint bound (positions, complex reflectivities and node phases all unknown) is the one that counts; the bounds
    with the phases known (imaging only) and with the image known (phases only, as in the paper) are shown beside it.

    Attributes:
        position_std: joint bound on each coordinate [S, D], [m].
        position_rms: joint root mean square distance over all scatterers [m]; nan without scatterers.
        phase_rms: joint root mean square link phase error over the existing links, gauge removed as in the metric
            [rad]. A node has one phase on all frequencies (erratum 7), so that this is over the frequencies as well.
        position_std_known_phase, position_rms_known_phase: the first two with all node phases known.
        phase_rms_known_image: the third with all positions and reflectivities known.
    """

    position_std: Tensor
    position_rms: float
    phase_rms: float
    position_std_known_phase: Tensor
    position_rms_known_phase: float
    phase_rms_known_image: float


def joint_bound(scene: Scene, index: int) -> Bound:
    """Bounds of scene `index` of a batch, from its true values, in float64.

    The gauge is no unknown of the problem: the directions in which positions and gauge-free link phases do not change
    are given in closed form and held, see `gauge_directions`. No reference node is needed.
    """
    return bound_from_information(scene, index, fisher_information(scene, index), gauge_directions(scene, index))


def bound_from_information(scene: Scene, index: int, fisher: Tensor, gauge: Tensor) -> Bound:
    """Bounds of scene `index` from the information on its unknowns, prior information included if there is any.

    Args:
        scene: where the unknowns are, in the order of `fisher_information`.
        index: scene of the batch.
        fisher: information at unit noise variance [P, P], float64.
        gauge: the directions of `gauge_directions` along which there is no information [P, G], float64.
    """
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    noise = one.noise_variance[0]
    n_scatterers, dimension = one.position.shape[1:]
    n_position, n_image = n_scatterers * dimension, n_scatterers * (dimension + 2)

    joint = noise * _inverse(fisher, gauge)
    known_phase = noise * _inverse(fisher[:n_image, :n_image], gauge[:n_image, :0])
    # With the image known, Tx against Rx is no gauge any more: only the phase common to connected nodes is.
    n_components = _components(one.link[0])[0]
    known_image = noise * _inverse(fisher[n_image:, n_image:], gauge[n_image:, :n_components])

    std = joint.diagonal()[:n_position].sqrt().reshape(n_scatterers, dimension)
    std_known_phase = known_phase.diagonal()[:n_position].sqrt().reshape(n_scatterers, dimension)
    return Bound(
        position_std=std,
        position_rms=_position_rms(std),
        phase_rms=_link_phase_rms(joint[n_image:, n_image:], one.link[0]),
        position_std_known_phase=std_known_phase,
        position_rms_known_phase=_position_rms(std_known_phase),
        phase_rms_known_image=_link_phase_rms(known_image, one.link[0]),
    )


def fisher_information(scene: Scene, index: int) -> Tensor:
    """Fisher matrix [P, P] of scene `index` at unit noise variance, amplitudes held at their true value as in (12).

    The unknowns are, in this order, positions (coordinates of the first scatterer first) [1/m], real parts and
    imaginary parts of the reflectivities, Tx phases and Rx phases, the last two common to all frequencies.
    Phases rotate whole links, which no inner product sees: everything is computed at zero node phase. The image part
    of the Jacobian is dense, [n_tx * n_rx * K, S (D + 2)], because missing links spoil the product structure;
    the node phases, which touch one Tx or one Rx each, are never written out.
    """
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    link = one.link[0, ..., None]
    gain = propagation_gain(one.array, one.position)[0] * link[..., None]
    reflected = gain * one.reflectivity[0]
    channel = reflected.sum(-1) + los_channel(one.array)[0] * (one.los[0, ..., None] & link)
    slope = _path_gradient(one.array, one.position) * one.array.wavenumber[0][:, None, None]
    position = -1j * reflected[..., None] * slope
    image = torch.cat([position.flatten(-2), gain, 1j * gain], dim=-1)

    dense = image.flatten(0, 2)
    image_block = (dense.mH @ dense).real
    # d CSI / d phi_tx = -j CSI on the links of that Tx and + j CSI on those of that Rx.
    cross = (image.conj() * (-1j * channel[..., None])).real.sum(2)
    cross_block = torch.cat([cross.sum(1), -cross.sum(0)])
    power = channel.abs().square().sum(-1)
    tx_block, rx_block = power.sum(1).diag(), power.sum(0).diag()
    phase_block = torch.cat([torch.cat([tx_block, -power], 1), torch.cat([-power.T, rx_block], 1)])
    fisher = torch.cat([torch.cat([image_block, cross_block.T], 1), torch.cat([cross_block, phase_block], 1)])
    return 2 * fisher


def gauge_directions(scene: Scene, index: int) -> Tensor:
    """Changes of the unknowns that leave the CSI as it is: [P, G], in the order of `fisher_information`.

    First the common phase of the nodes of each connected part of the network; then, unless a line of sight is in the
    CSI, the phase of all Tx against that of all reflectivities. No direction moves a scatterer; the first kind leaves
    every link phase alone, and the last adds the same constant to all of them, which the metric takes out.
    """
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    n_tx, n_rx = one.link.shape[1:]
    n_scatterers, dimension = one.position.shape[1:]
    count, label = _components(one.link[0])
    common = torch.cat([torch.zeros(n_scatterers * (dimension + 2), count), torch.eye(count)[label]])
    if (one.los & one.link).any():
        return common.double()
    image = torch.cat([one.position.new_zeros(n_scatterers * dimension), -one.reflectivity[0].imag])
    nodes = torch.cat([torch.ones(n_tx), torch.zeros(n_rx)]).double()
    against = torch.cat([image, one.reflectivity[0].real, nodes])
    return torch.cat([common.double(), against[:, None]], dim=1)


def _path_gradient(array: NodeArray, position: Tensor) -> Tensor:
    """Gradient of the path length over each scatterer: the two unit vectors of (12), [n_tx, n_rx, 1, S, D]."""
    tx, rx = (position[0] - nodes[0][:, None] for nodes in (array.tx, array.rx))
    tx, rx = tx / tx.norm(dim=-1, keepdim=True), rx / rx.norm(dim=-1, keepdim=True)
    return (tx[:, None] + rx[None])[:, :, None]


def _components(link: Tensor) -> tuple[int, Tensor]:
    """Number of connected parts of the network, and the part that each node (Tx, then Rx) is in."""
    n_tx, n_rx = link.shape
    adjacency = torch.zeros(n_tx + n_rx, n_tx + n_rx, dtype=torch.int8)
    adjacency[:n_tx, n_tx:] = link
    count, label = connected_components(adjacency.numpy(), directed=False)
    return int(count), torch.as_tensor(label).long()


def _inverse(fisher: Tensor, gauge: Tensor) -> Tensor:
    """Inverse of a Fisher matrix with its null directions `gauge` held; inf everywhere if it is singular beside them.

    Adding information along the gauge leaves the bound of everything that does not depend on the gauge as it is.
    """
    diagonal = fisher.diagonal()
    scale = torch.where(diagonal > 0, diagonal, torch.ones_like(diagonal)).rsqrt()
    held = torch.linalg.qr(gauge / scale[:, None]).Q
    scaled = scale[:, None] * fisher * scale + held @ held.mT
    value, vector = torch.linalg.eigh(scaled)
    if len(value) and value[0] <= 10 * len(value) * torch.finfo(value.dtype).eps * value[-1]:
        return torch.full_like(fisher, math.inf)
    root = scale[:, None] * vector * value.rsqrt()
    return root @ root.mT


def _position_rms(std: Tensor) -> float:
    """Root mean square distance that belongs to the standard deviations [S, D] of the coordinates."""
    return float(std.square().sum(-1).mean().sqrt())


def _link_phase_rms(covariance: Tensor, link: Tensor) -> float:
    """Root mean square link phase error from the covariance of the node phases, the mean over the links taken out.

    With L the incidence matrix over M links, the mean of the diagonal of P L C L^T P, P = I - 1 1^T / M, is the trace
    of C (L^T L - L^T 1 1^T L / M) / M.
    """
    count = int(link.sum())
    if count == 0:
        return math.nan
    if not covariance.isfinite().all():
        return math.inf
    weight = link.double()
    signed_degree = torch.cat([weight.sum(1), -weight.sum(0)])
    laplacian = signed_degree.abs().diag()
    laplacian[: link.shape[0], link.shape[0] :] = -weight
    laplacian[link.shape[0] :, : link.shape[0]] = -weight.T
    projected = laplacian - signed_degree[:, None] * signed_degree / count
    return math.sqrt(max(float((covariance * projected).sum()) / count, 0.0))
