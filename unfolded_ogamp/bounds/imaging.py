"""Cramer-Rao bounds of imaging: the least error of unbiased estimators of a scene, without and with a prior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.bounds.fisher import inverse, with_prior
from unfolded_ogamp.physics import (
    Scene,
    components,
    laplacian,
    los_channel,
    propagation_gain,
    reference_nodes,
    unit_vectors,
)
from unfolded_ogamp.settings import Settings, positive, unbounded


@dataclass(frozen=True)
class Bound:
    """Cramer-Rao bounds of one scene; inf where the measurements do not determine the unknowns.

    The joint bound (positions, complex reflectivities and node phases all unknown) is the reference; the bounds with
    the phases known (imaging only) and with the image known (phases only, as in the paper) are for comparison.

    Attributes:
        position_std: joint bound on each coordinate [S, D], [m].
        position_rms: joint root mean square distance over all scatterers [m]; nan without scatterers.
        phase_rms: joint root mean square link phase error over the existing links, gauge removed as in the metric
            [rad]. A node has one phase on all frequencies (erratum 7), so that this is over the frequencies as well.
        position_std_known_phase, position_rms_known_phase: the first two with all node phases known.
        phase_rms_known_image: the third with all positions and reflectivities known.
        image_covariance: joint bound on the covariance of all coordinates, those of the first scatterer first, [m], and
            of all amplitudes |x| [S (D + 1), S (D + 1)].
    """

    position_std: Tensor
    position_rms: float
    phase_rms: float
    position_std_known_phase: Tensor
    position_rms_known_phase: float
    phase_rms_known_image: float
    image_covariance: Tensor


@dataclass(frozen=True)
class Prior(Settings):
    """Prior spread of the unknowns; inf means no prior knowledge.

    Every prior enters as a Gaussian of its variance. That is exact for node phases N(0, phase_std^2 / 2); a uniform
    offset and a half-normal reflectivity have no Fisher information of their own, as their densities are discontinuous.

    Attributes:
        phase_std: standard deviation sigma_phi of a link phase, of which each of its two nodes has half the variance
            [rad]. Uniform phases carry no information: inf.
        pixel: side of the pixel in which a scatterer is known to lie, anywhere with equal probability [m].
        reflectivity_std: standard deviation of the complex reflectivity around a known mean, as sigma_x of CN(x; mu_x,
            sigma_x^2) below (34); real and imaginary part have half the variance each. Reflectivities
            1 - |N(0, s^2)| have s sqrt(1 - 2 / pi), without the knowledge that they are real.

    Raises:
        ValueError: if one is not positive.
    """

    phase_std: Annotated[float, positive, unbounded] = math.inf
    pixel: Annotated[float, positive, unbounded] = math.inf
    reflectivity_std: Annotated[float, positive, unbounded] = math.inf


def joint_bound(scene: Scene, index: int) -> Bound:
    """Bounds of scene `index` of a batch, from its true values, in float64.

    The bound excludes the gauge: the directions in which positions and gauge-free link phases do not change are known
    in closed form, see `gauge_directions`. No reference node is needed.

    This is the one joint bound of evaluation and training. It holds amplitudes at their true values, as (12) and the
    published figures do. The likelihood that the estimators maximise differentiates them too, and so do the variances
    that they state (`imaging.likelihood.uncertainty`). That lowers the bound by a thousandth: on 100 scenes of "paper"
    (seed 0) the mean ratio is 0.9990 +- 0.0002 for positions and 0.9991 +- 0.0001 for link phases, 95 % intervals;
    `test_imaging_bound.py::test_amplitudes_add_next_to_no_information_on_positions` measures it on 12.
    """
    return bound_from_information(scene, index, fisher_information(scene, index), gauge_directions(scene, index))


def bayesian_joint_bound(scene: Scene, index: int, prior: Prior) -> Bound:
    """Bounds of scene `index` with prior information: the inverse of Fisher plus prior information (van Trees).

    The Fisher matrix is that of the true values, where van Trees' inequality has its mean over the prior. The bound of
    a scene is the error of the best estimator near the truth on similar scenes. Its mean over scenes is not below the
    bound of the inequality.

    A phase prior makes even the gauge known: with all links measured, the constant between all Tx and all Rx to within
    phase_std sqrt((1 / n_tx + 1 / n_rx) / 2). The metric removes that constant from the link phases all the same, and
    so does the bound on them.

    H. L. van Trees, *Detection, Estimation, and Modulation Theory*, part I, section 2.4.
    """
    fisher, gauge = fisher_information(scene, index), gauge_directions(scene, index)
    precision = scene.noise_variance[index].to("cpu", torch.float64) * prior_information(scene, prior)
    return bound_from_information(scene, index, *with_prior(fisher, gauge, precision))


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

    joint = noise * inverse(fisher, gauge)
    known_phase = noise * inverse(fisher[:n_image, :n_image], gauge[:n_image, :0])
    # With the image known, the phase between all Tx and all Rx is observable; that common to connected nodes is not.
    n_components = int(reference_nodes(one.link[0]).sum())
    known_image = noise * inverse(fisher[n_image:, n_image:], gauge[n_image:, :n_components])

    std = joint.diagonal()[:n_position].sqrt().reshape(n_scatterers, dimension)
    std_known_phase = known_phase.diagonal()[:n_position].sqrt().reshape(n_scatterers, dimension)
    return Bound(
        position_std=std,
        position_rms=_position_rms(std),
        phase_rms=_link_phase_rms(joint[n_image:, n_image:], one.link[0]),
        position_std_known_phase=std_known_phase,
        position_rms_known_phase=_position_rms(std_known_phase),
        phase_rms_known_image=_link_phase_rms(known_image, one.link[0]),
        image_covariance=_image_covariance(joint, one.reflectivity[0], n_position),
    )


def fisher_information(scene: Scene, index: int) -> Tensor:
    """Fisher matrix [P, P] of scene `index` at unit noise variance, amplitudes held at their true value as in (12).

    The unknowns are, in this order, positions (coordinates of the first scatterer first) [1/m], real parts and
    imaginary parts of the reflectivities, Tx phases and Rx phases, the last two common to all frequencies.
    Phases rotate whole links and change no inner product, so that node phases are set to zero. The image part of the
    Jacobian is dense, [n_tx * n_rx * K, S (D + 2)], because missing links break the product structure. The columns of
    the node phases, which belong to one Tx or one Rx each, are never formed.
    """
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    link = one.link[0, ..., None]
    gain = propagation_gain(one.array, one.position)[0] * link[..., None]
    reflected = gain * one.reflectivity[0]
    channel = reflected.sum(-1) + los_channel(one.array)[0] * (one.los[0, ..., None] & link)
    # (12): the path is longer by the sum of the two unit vectors
    tx, rx = (unit_vectors(nodes, one.position)[0].movedim(0, -1) for nodes in (one.array.tx, one.array.rx))
    slope = (tx[:, None] + rx[None])[:, :, None] * one.array.wavenumber[0][:, None, None]
    position = -1j * reflected[..., None] * slope
    image = torch.cat([position.flatten(-2), gain, 1j * gain], dim=-1)

    dense = image.flatten(0, 2)
    image_block = (dense.mH @ dense).real
    # d CSI / d phi_tx = -j CSI on the links of that Tx and + j CSI on those of that Rx.
    cross = (image.conj() * (-1j * channel[..., None])).real.sum(2)
    cross_block = torch.cat([cross.sum(1), -cross.sum(0)])
    power = channel.abs().square().sum(-1)
    fisher = torch.cat([torch.cat([image_block, cross_block.T], 1), torch.cat([cross_block, laplacian(power)], 1)])
    return 2 * fisher


def prior_information(scene: Scene, prior: Prior) -> Tensor:
    """Prior information on each unknown, one over its variance: [P], in the order of `fisher_information`."""
    n_scatterers, dimension = scene.position.shape[1:]
    counts = [n_scatterers * dimension, n_scatterers * 2, sum(scene.link.shape[1:])]
    variances = [prior.pixel**2 / 12, prior.reflectivity_std**2 / 2, prior.phase_std**2 / 2]
    return torch.tensor(variances, dtype=torch.float64).reciprocal().repeat_interleave(torch.tensor(counts))


def gauge_directions(scene: Scene, index: int) -> Tensor:
    """Changes of the unknowns that do not change the CSI: [P, G], in the order of `fisher_information`.

    First the common phase of the nodes of each connected component; then, unless the CSI contains a line of sight, the
    phase of all Tx against that of all reflectivities. No direction moves a scatterer. The first kind changes no link
    phase, and the last adds the same constant to all of them, which the metric removes.
    """
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    n_tx, n_rx = one.link.shape[1:]
    n_scatterers, dimension = one.position.shape[1:]
    part, references = components(one.link[0]), reference_nodes(one.link[0]).nonzero()[:, 0]
    nodes_of_part = (part[:, None] == references).double()
    common = torch.cat([nodes_of_part.new_zeros(n_scatterers * (dimension + 2), len(references)), nodes_of_part])
    if (one.los & one.link).any():
        return common
    image = torch.cat([one.position.new_zeros(n_scatterers * dimension), -one.reflectivity[0].imag])
    nodes = torch.cat([torch.ones(n_tx), torch.zeros(n_rx)]).double()
    against = torch.cat([image, one.reflectivity[0].real, nodes])
    return torch.cat([common, against[:, None]], dim=1)


def _position_rms(std: Tensor) -> float:
    """Root mean square distance that belongs to the standard deviations [S, D] of the coordinates."""
    return float(std.square().sum(-1).mean().sqrt())


def _image_covariance(joint: Tensor, reflectivity: Tensor, n_position: int) -> Tensor:
    """Covariance of coordinates and amplitudes from that of all unknowns; the phase of x is no part of it."""
    if not joint.isfinite().all():
        return torch.full((n_position + len(reflectivity),) * 2, math.inf, dtype=joint.dtype)
    # a scatterer without amplitude moves it along the real axis
    direction = torch.polar(torch.ones_like(reflectivity.real), reflectivity.angle())
    change = torch.zeros(n_position + len(reflectivity), len(joint), dtype=joint.dtype)
    change[:n_position, :n_position] = torch.eye(n_position)
    change[n_position:, n_position : n_position + len(direction)] = direction.real.diag()
    change[n_position:, n_position + len(direction) : n_position + 2 * len(direction)] = direction.imag.diag()
    return change @ joint @ change.mT


def _link_phase_rms(covariance: Tensor, link: Tensor) -> float:
    """Root mean square link phase error from the covariance of the node phases, the mean over the links removed.

    With G the incidence matrix over M links, the mean of the diagonal of P G C G^T P, P = I - 1 1^T / M, is the trace
    of C (G^T G - G^T 1 1^T G / M) / M.
    """
    count = int(link.sum())
    if count == 0:
        return math.nan
    if not covariance.isfinite().all():
        return math.inf
    weight = link.double()
    difference = torch.cat([weight.sum(1), -weight.sum(0)])
    projected = laplacian(weight) - difference[:, None] * difference / count
    return math.sqrt(max(float((covariance * projected).sum()) / count, 0.0))
