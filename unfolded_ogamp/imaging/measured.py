"""Metrics of estimates of measured scenes, with partly known truth and extended targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unfolded_ogamp.evaluation.point_sets import match, pairwise_distance
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.physics import Csi, NodeArray, link_phase, link_phase_error

WIDE_GATE = 0.25  # largest distance of a matched pair, in carrier wavelengths; wide because targets are extended


class Truth(Protocol):
    """The known truth of a batch of one scene: complete for a `Scene`, partial for a CSI file."""

    @property
    def position(self) -> Tensor: ...
    @property
    def tx_phase(self) -> Tensor | None: ...
    @property
    def rx_phase(self) -> Tensor | None: ...


@dataclass(frozen=True)
class MeasuredMetrics:
    """Metrics of one estimate of one measured scene.

    Attributes:
        n_true: number of targets.
        found: targets with a scatterer of their own within lambda_c / 4.
        false: scatterers without a target of their own.
        phase_rmse: root mean square link phase error, gauge removed [rad]; nan if the true phases are unknown.
        strongest: distance of the strongest scatterer to the nearest target [m]; nan without scatterers.
        strongest_false_db: strongest false scatterer over the strongest of all [dB]; nan if none is false.
        residual_over_noise: mean |y - prediction|^2 over the noise variance; nan if that is unknown.
        residual_db: mean |y - prediction|^2 over the power of the CSI [dB].
    """

    n_true: int
    found: int
    false: int
    phase_rmse: float
    strongest: float
    strongest_false_db: float
    residual_over_noise: float
    residual_db: float


def measured_metrics(csi: Csi, array: NodeArray, estimate: Estimate, truth: Truth) -> MeasuredMetrics:
    """Metrics of the estimate of a batch of one, in float64."""
    scatterers = estimate.scatterers[0]
    strength = scatterers.reflectivity.detach().abs().double()
    distance = pairwise_distance(truth.position[0].double(), scatterers.position.detach().double(), math.inf)
    true, estimated = match(distance, WIDE_GATE * float(array.wavelength))
    false = torch.ones(len(strength), dtype=torch.bool)
    false[estimated] = False
    residual, link = float(estimate.residual[0]), csi.link[0]
    noise = math.nan if csi.noise_variance is None else float(csi.noise_variance[0])
    power = float(csi.value[0][link].abs().square().mean())
    return MeasuredMetrics(
        n_true=len(distance),
        found=len(true),
        false=int(false.sum()),
        phase_rmse=_phase_rmse(csi, estimate, truth),
        strongest=float(distance[:, int(strength.argmax())].min()) if len(strength) else math.nan,
        strongest_false_db=20 * math.log10(float(strength[false].max() / strength.max())) if false.any() else math.nan,
        residual_over_noise=residual / noise,
        residual_db=10 * math.log10(max(residual / power, 1e-30)),
    )


def _phase_rmse(csi: Csi, estimate: Estimate, truth: Truth) -> float:
    if truth.tx_phase is None or truth.rx_phase is None:
        return math.nan
    estimated = link_phase(estimate.tx_phase.double(), estimate.rx_phase.double())
    error = link_phase_error(estimated, link_phase(truth.tx_phase, truth.rx_phase), csi.link)[csi.link]
    return float(error.square().mean().sqrt())
