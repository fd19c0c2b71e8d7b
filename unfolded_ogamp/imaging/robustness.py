"""Score of an estimate of a perturbed scene: what is found, errors over the Bayesian bound, and coverage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.bounds.self_calibration import CalibrationBound
from unfolded_ogamp.evaluation import statistics
from unfolded_ogamp.evaluation.point_sets import MATCH_GATE, match, pairwise_distance
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.perturbations.signal import Signal
from unfolded_ogamp.imaging.score import node_phase_error, roi_diagonal
from unfolded_ogamp.physics import aligned

NOMINAL = 0.9  # probability of the regions whose coverage is measured


@dataclass(frozen=True, kw_only=True)
class RobustnessMetrics:
    """Metrics of the estimate of one perturbed scene.

    Attributes:
        n_true, missed, false: true scatterers, those without an estimate near them, and estimates without a true one.
        success: none missed and none false.
        wrong: reported as converged, but no success.
        converged: reported as converged.
        position_rmse: root mean square distance of matched pairs [m]; nan without pairs.
        position_aligned: the same without the rigid motion that fits best [m].
        position_ratio, aligned_ratio: these over their bounds; nan without a bound.
        node_aligned: root mean square error of the node positions, without a rigid motion [m].
        node_ratio: that over its bound; nan if nodes are as listed.
        position_inside, phase_inside: shares of the matched scatterers and of the nodes in their 90 % regions.
    """

    n_true: int
    missed: int
    false: int
    success: bool
    wrong: bool
    converged: bool
    position_rmse: float
    position_aligned: float
    position_ratio: float
    aligned_ratio: float
    node_aligned: float
    node_ratio: float
    position_inside: float
    phase_inside: float


def robustness(signal: Signal, estimate: Estimate, bound: CalibrationBound | None) -> RobustnessMetrics:
    """Metrics of the estimate of a perturbed scene, both batches of one."""
    scene, found = signal.scene, estimate.scatterers[0]
    true, position = scene.position[0], found.position.detach().to(scene.position)
    gate = MATCH_GATE * float(scene.array.wavelength) + float(signal.radius)
    pairs, chosen = match(pairwise_distance(true, position, roi_diagonal(scene.grid)), gate)
    missed, false = len(true) - len(pairs), len(position) - len(pairs)
    error, success = position[chosen] - true[pairs], missed == 0 and false == 0
    covariance = found.covariance.detach().to(scene.position)[chosen]
    rmse = _rms(error)
    # few points can always be aligned
    at_rest = _rms(aligned(error, true[pairs])) if len(pairs) > 2 else math.nan
    node_error = torch.cat([estimate.nodes.tx_position[0], estimate.nodes.rx_position[0]]).to(true)
    listed = torch.cat([scene.array.tx[0], scene.array.rx[0]])
    node_aligned = _rms(aligned(node_error - listed, listed))
    converged = bool(estimate.converged[0])
    return RobustnessMetrics(
        n_true=len(true),
        missed=missed,
        false=false,
        success=success,
        wrong=converged and not success,
        converged=converged,
        position_rmse=rmse,
        position_aligned=at_rest,
        position_ratio=math.nan if bound is None else rmse / bound.position_rms,
        aligned_ratio=math.nan if bound is None else at_rest / bound.position_rms_aligned,
        node_aligned=node_aligned,
        node_ratio=math.nan if bound is None or bound.node_rms == 0 else node_aligned / bound.node_rms_aligned,
        position_inside=statistics.share_inside(statistics.region_level(error, covariance), NOMINAL),
        phase_inside=_phases_inside(signal, estimate),
    )


def _phases_inside(signal: Signal, estimate: Estimate) -> float:
    """Share of the node phases, gauge removed, within their intervals."""
    scene = signal.scene
    tx, rx = (
        (phase[0].detach() - truth[0]).double()
        for phase, truth in ((estimate.tx_phase, scene.tx_phase), (estimate.rx_phase, scene.rx_phase))
    )
    error = node_phase_error(tx, rx, scene.link[0])
    std = torch.cat([estimate.tx_phase_std[0], estimate.rx_phase_std[0]]).detach().double()
    level = statistics.interval_level(error, std)[torch.isfinite(error)]
    return statistics.share_inside(level, NOMINAL)


def _rms(error: Tensor) -> float:
    """Root mean square length of vectors [n, D]; nan without vectors."""
    return float(error.square().sum(1).mean().sqrt())
