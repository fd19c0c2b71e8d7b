"""Metrics of one estimate of one simulated scene: detection, positions, phases and predicted channel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from unfolded_ogamp.bounds.imaging import Bound, joint_bound
from unfolded_ogamp.evaluation import statistics
from unfolded_ogamp.evaluation.point_sets import MATCH_GATE, chamfer_distance, gospa_distance, match, pairwise_distance
from unfolded_ogamp.evaluation.scoring import Scoring
from unfolded_ogamp.evaluation.tables import Column
from unfolded_ogamp.imaging.confidence import Confidence, confidence
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.physics import PixelGrid, Scene, link_phase, link_phase_error, noise_free_csi, phasor


@dataclass(frozen=True)
class SceneMetrics(Confidence):
    """Metrics of one estimate of one scene, beside those of `Confidence`.

    Attributes:
        n_true, n_estimated: number of true and of estimated scatterers.
        missed, false: true scatterers, and estimated scatterers, without a partner within lambda_c / 10.
        success: none missed and none false.
        position_rmse: root mean square distance of the matched pairs [m]; nan without matched pairs.
        position_efficiency: `position_rmse` over the joint bound of the matched scatterers; 1 is optimal. nan without
            matched pairs or a finite bound.
        phase_rmse: root mean square link phase error over links and frequencies, gauge removed [rad] (erratum 4);
            nan without links.
        phase_efficiency: `phase_rmse` over its joint bound; nan without a finite bound.
        chamfer: mean distance to the nearest, truth to estimate plus estimate to truth [m] (erratum 5). If one of the
            two sets is empty, it is the diagonal of the region of interest; if both are, zero.
        chamfer_squared: the same with squared distances, equation (64) to the letter [m^2].
        gospa: GOSPA distance of order 2 with cut-off lambda_c / 2 and alpha = 2 [m].
        channel_nmse_db: squared error of the predicted noise-free CSI over its power, on the links [dB]. The prediction
            includes the phases and thus has no gauge. nan if the CSI has no power.
        residual: mean |y - prediction|^2 over the noise variance.
        position_inside_50, _90, _99: share of the matched true positions inside the confidence ellipse of that
            probability around the estimate; nan without matched pairs.
        phase_inside_50, _90, _99: the same share for node phases, gauge removed.
    """

    n_true: int
    n_estimated: int
    missed: int
    false: int
    success: bool
    position_rmse: float
    position_efficiency: float
    phase_rmse: float
    phase_efficiency: float
    chamfer: float
    chamfer_squared: float
    gospa: float
    channel_nmse_db: float
    residual: float
    position_inside_50: float
    position_inside_90: float
    position_inside_99: float
    phase_inside_50: float
    phase_inside_90: float
    phase_inside_99: float


def roi_diagonal(grid: PixelGrid) -> float:
    """Diagonal of the region of interest of one scene [m]."""
    centre, pixel = grid.centre[0], grid.pixel[0]
    return float((centre.amax(0) - centre.amin(0) + pixel).norm())


def phase_error(scene: Scene, estimate: Estimate, index: int) -> Tensor:
    """Link phase error of one scene, gauge removed: [n_tx, n_rx, K], [rad], zero without a link."""
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    tx_phase, rx_phase = _plain(estimate.tx_phase[index])[None], _plain(estimate.rx_phase[index])[None]
    true = link_phase(one.tx_phase, one.rx_phase)
    return link_phase_error(link_phase(tx_phase, rx_phase), true, one.link)[0]


def node_phase_error(tx_phase: Tensor, rx_phase: Tensor, link: Tensor) -> Tensor:
    """Node phases without their unobservable part: [n_tx + n_rx], [rad] in (-pi, pi].

    That part is the circular mean of Tx and that of Rx, nodes weighted by their links. Frequencies are averaged. The
    phase of a node without links is nan.

    Args:
        tx_phase, rx_phase: phases or differences of phases [n_tx, K], [n_rx, K], [rad].
        link: existing links, bool [n_tx, n_rx].
    """
    sides = []
    for phase, degree in ((tx_phase, link.sum(1)), (rx_phase, link.sum(0))):
        turn = phasor(phase)
        mean = (turn * degree[:, None]).sum()
        angle = (turn.sum(-1) * mean.conj()).angle()
        sides.append(torch.where(degree > 0, angle, torch.full_like(angle, math.nan)))
    return torch.cat(sides)


def scene_metrics(scene: Scene, estimate: Estimate, index: int, bound: Bound) -> SceneMetrics:
    """Metrics of the estimate of scene `index` of a batch, in float64; `bound` is the joint bound of that scene."""
    one = scene[slice(index, index + 1)].to(dtype=torch.float64, device="cpu")
    diagonal = roi_diagonal(one.grid)
    wavelength = float(one.array.wavelength)
    distance = pairwise_distance(one.position[0], _plain(estimate.scatterers[index].position), diagonal)
    true, estimated = match(distance, MATCH_GATE * wavelength)
    n_true, n_estimated = distance.shape
    missed, false = n_true - len(true), n_estimated - len(true)

    position_rmse = _rms(distance[true, estimated])
    phase_rmse = _rms(phase_error(scene, estimate, index)[one.link[0]])

    clean = noise_free_csi(one)[0]
    prediction = estimate.prediction[index].detach().to(device="cpu", dtype=torch.complex128)
    error = ((prediction - clean) * one.link[0, ..., None]).abs().square().sum()
    power = clean.abs().square().sum()
    inside = inside_regions(one, estimate, index, true, estimated)
    return SceneMetrics(
        n_true=n_true,
        n_estimated=n_estimated,
        missed=missed,
        false=false,
        success=missed == 0 and false == 0,
        position_rmse=position_rmse,
        position_efficiency=_ratio(position_rmse, _rms(bound.position_std[true].square().sum(-1).sqrt())),
        phase_rmse=phase_rmse,
        phase_efficiency=_ratio(phase_rmse, bound.phase_rms),
        chamfer=chamfer_distance(distance, diagonal),
        chamfer_squared=chamfer_distance(distance.square(), diagonal**2),
        gospa=gospa_distance(distance, wavelength / 2),
        channel_nmse_db=float(10 * (error / power).log10()) if power > 0 else math.nan,
        residual=_ratio(float(estimate.residual[index].detach()), float(one.noise_variance)),
        **{**inside, **asdict(confidence(one, estimate, index, bound, true, estimated))},
    )


def inside_regions(scene: Scene, estimate: Estimate, index: int, true: Tensor, estimated: Tensor) -> dict[str, float]:
    """Shares of the matched true positions and of the node phases in their confidence regions, by name of the metric.

    Args:
        scene: the scene, a batch of one in float64.
        estimate: estimate of the whole batch.
        index: index of the scene in that batch.
        true, estimated: indices of the matched pairs.
    """
    found = estimate.scatterers[index]
    error = _plain(found.position)[estimated] - scene.position[0, true]
    position = statistics.region_level(error, _plain(found.covariance)[estimated])
    tx_phase, rx_phase = (
        _plain(phase[index]) - truth[0]
        for phase, truth in ((estimate.tx_phase, scene.tx_phase), (estimate.rx_phase, scene.rx_phase))
    )
    error = node_phase_error(tx_phase, rx_phase, scene.link[0])
    std = _plain(torch.cat([estimate.tx_phase_std[index], estimate.rx_phase_std[index]]))
    phase = statistics.interval_level(error, std)[torch.isfinite(error)]
    return {
        f"{name}_inside_{round(100 * nominal)}": statistics.share_inside(level, nominal)
        for name, level in (("position", position), ("phase", phase))
        for nominal in statistics.LEVELS
    }


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to(device="cpu", dtype=torch.float64)


def _rms(value: Tensor) -> float:
    """Root mean square of all entries; nan without entries."""
    return float(value.square().mean().sqrt())


def _ratio(error: float, bound: float) -> float:
    return error / bound if 0 < bound < math.inf else math.nan


COLUMNS: Mapping[str, Column] = {
    "success": Column("success", "%", 100.0, 1),
    "genie": Column("success of the genie", "%", 100.0, 1),
    "missed": Column("missed", "", 1.0, 2),
    "false": Column("false", "", 1.0, 2),
    "position_rmse": Column("position error", "mm", 1e3, 2),
    "position_efficiency": Column("position over bound", "", 1.0, 2),
    "phase_rmse": Column("phase error", "rad", 1.0, 4),
    "phase_efficiency": Column("phase over bound", "", 1.0, 2),
    "chamfer": Column("chamfer", "mm", 1e3, 2),
    "gospa": Column("GOSPA", "mm", 1e3, 2),
    "channel_nmse_db": Column("channel error", "dB", 1.0, 1),
    "residual": Column("residual over noise", "", 1.0, 3),
}

SCORING = Scoring(
    inputs=lambda scene, csi: (csi, scene.assumed_array, scene.grid),
    bound=joint_bound,
    score=scene_metrics,
    columns=COLUMNS,
    shown=("success", "missed", "false", "position_efficiency", "phase_efficiency", "time"),
    on_card=(
        *("success", "missed", "false", "position_rmse", "position_efficiency", "phase_rmse", "phase_efficiency"),
        "chamfer",
    ),
    regions={"position": "scatterer positions", "phase": "node phases"},
)
