"""The joint bound of those who know beforehand what scenes are like: Fisher information plus that of a prior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.bounds.imaging import Bound, bound_from_information, fisher_information, gauge_directions
from unfolded_ogamp.physics import Scene
from unfolded_ogamp.settings import Settings, positive, unbounded

NEGLIGIBLE = 1e-10  # of the information measured: what a prior tells about the gauge then drowns in rounding errors


@dataclass(frozen=True)
class Prior(Settings):
    """How far the unknowns spread before anything is measured; inf is no knowledge.

    Every prior enters as a Gaussian of its variance. That is exact for node phases N(0, phase_std^2 / 2); a uniform
    offset and a half-normal reflectivity have no Fisher information of their own, as their densities end abruptly.

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

    phase_std: Annotated[float, unbounded, positive] = math.inf
    pixel: Annotated[float, unbounded, positive] = math.inf
    reflectivity_std: Annotated[float, unbounded, positive] = math.inf


def bayesian_joint_bound(scene: Scene, index: int, prior: Prior) -> Bound:
    """Bounds of scene `index` with prior information: the inverse of Fisher plus prior information (van Trees).

    The Fisher matrix is that of the true values, where van Trees' inequality has its mean over the prior: the bound of
    a scene says what the best estimator reaches on scenes like it once it is near the truth, and its mean over scenes
    is not below the bound of the inequality.

    A phase prior tells even the gauge: with all links there, the constant between all Tx and all Rx to within
    phase_std sqrt((1 / n_tx + 1 / n_rx) / 2). The metric takes that constant out of the link phases all the same, and
    so does the bound on them.

    H. L. van Trees, *Detection, Estimation, and Modulation Theory*, part I, section 2.4.
    """
    fisher, gauge = fisher_information(scene, index), gauge_directions(scene, index)
    information = scene.noise_variance[index].to("cpu", torch.float64) * prior_information(scene, prior)
    told, measured = information @ gauge.square(), fisher.diagonal() @ gauge.square()
    unknown = gauge[:, told <= NEGLIGIBLE * measured]
    return bound_from_information(scene, index, fisher + information.diag(), unknown)


def prior_information(scene: Scene, prior: Prior) -> Tensor:
    """Prior information on each unknown, one over its variance: [P], in the order of `fisher_information`."""
    n_scatterers, dimension = scene.position.shape[1:]
    counts = [n_scatterers * dimension, n_scatterers * 2, sum(scene.link.shape[1:])]
    variances = [prior.pixel**2 / 12, prior.reflectivity_std**2 / 2, prior.phase_std**2 / 2]
    return torch.tensor(variances, dtype=torch.float64).reciprocal().repeat_interleave(torch.tensor(counts))
