"""The estimate file (.npz): the estimate from one CSI file, in the units of that file.

position, position_std: of the scatterers, strongest first [S, D] [m].
covariance: of the positions [S, D, D] [m^2]; that of a uniform position in the region of interest if it is unknown.
reflectivity: complex [S], in the units of the CSI.
probability: that a scatterer is within a tenth of a carrier wavelength of the position [S].
grid: pixel centres [N, D] [m].
pixel_probability: that the pixel holds a scatterer [N].
tx_phase, rx_phase: node phases [n_tx, K], [n_rx, K] [rad].
tx_phase_std, rx_phase_std: their standard deviations [n_tx], [n_rx] [rad], at most that of a uniform phase.
tx_without_los, rx_without_los: nodes without a line of sight where others have one, bool [n_tx], [n_rx]; their phases
    follow from scattering alone.
outside_position [S', D] [m], outside_reflectivity complex [S']: of echoes from outside the region of interest.
noise_variance: noise variance, given, estimated, or raised where the residual exceeds it.
noise_std: standard error of an estimated noise variance; 0 if it was given.
converged: whether the residual is consistent with the noise; if the noise is unknown, whether starts agree.
diagnosis: findings about the CSI before the fit, and sentences on what does not fit, texts [n].
residual: mean |y - model|^2 over the measured links.
finite: false if a non-finite state ended the run early; the estimate is then the last finite one.
Texts, empty if unknown: estimator, settings (as JSON, with the seed of its restarts), weights_sha256 (of
    the checkpoint), adapt (gradient steps), synchronise, budget [s], python, torch, numpy, unfolded_ogamp (versions),
    platform, commit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unfolded_ogamp.files import write_npz
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.physics import PixelGrid

UNIFORM_PHASE = math.pi / math.sqrt(3)  # standard deviation of a uniform phase [rad]


def save_estimate(
    path: str | Path, estimate: Estimate, grid: PixelGrid, origin: Mapping[str, str], index: int = 0
) -> None:
    """Write the estimate of scene `index` of a batch, with the texts of `origin`; readers never find a part of it.

    Raises:
        InputError: if the estimate is not finite.
    """
    scatterers = estimate.scatterers[index]
    covariance = finite_covariance(scatterers.covariance, grid, index)
    tensors = {
        "position": scatterers.position,
        "position_std": covariance.diagonal(dim1=1, dim2=2).sqrt(),
        "covariance": covariance,
        "reflectivity": scatterers.reflectivity,
        "probability": scatterers.probability,
        "grid": grid.centre[index],
        "pixel_probability": estimate.pixel_probability[index],
        "tx_phase": estimate.tx_phase[index],
        "rx_phase": estimate.rx_phase[index],
        "tx_phase_std": estimate.tx_phase_std[index].clamp(max=UNIFORM_PHASE),
        "rx_phase_std": estimate.rx_phase_std[index].clamp(max=UNIFORM_PHASE),
        "extent": scatterers.extent,
        "tx_position": estimate.nodes.tx_position[index],
        "rx_position": estimate.nodes.rx_position[index],
        "tx_position_std": estimate.nodes.tx_position_std[index],
        "rx_position_std": estimate.nodes.rx_position_std[index],
        "tx_gain": estimate.nodes.tx_gain[index],
        "rx_gain": estimate.nodes.rx_gain[index],
        "tx_gain_std": estimate.nodes.tx_gain_std[index],
        "rx_gain_std": estimate.nodes.rx_gain_std[index],
        "link_weight": estimate.nodes.link_weight[index],
        "tx_without_los": estimate.tx_without_los[index],
        "rx_without_los": estimate.rx_without_los[index],
        "outside_position": estimate.outside[index].position,
        "outside_reflectivity": estimate.outside[index].reflectivity,
        "noise_variance": estimate.noise_variance[index],
        "noise_std": estimate.noise_std[index],
        "converged": estimate.converged[index],
        "residual": estimate.residual[index],
        "finite": estimate.finite[index],
    }
    arrays = {key: tensor.detach().cpu().numpy() for key, tensor in tensors.items()}
    arrays["diagnosis"] = np.array(estimate.diagnosis[index], dtype=str)
    write_npz(path, arrays | {key: np.array(text) for key, text in origin.items()})


def finite_covariance(covariance: Tensor, grid: PixelGrid, index: int) -> Tensor:
    """Covariances [S, D, D] [m^2] with infinite ones replaced by that of a uniform position in the region."""
    centre = grid.centre[index]
    side = centre.amax(0) - centre.amin(0) + grid.pixel[index]
    infinite = covariance.isinf().flatten(1).any(1)
    return torch.where(infinite[:, None, None], torch.diag(side.square() / 12).to(covariance), covariance)
