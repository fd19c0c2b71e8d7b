"""Whether an estimate of a simulated scene is as reliable as it says, and whether the scene can be estimated at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.bounds.genie import detections
from unfolded_ogamp.bounds.imaging import Bound
from unfolded_ogamp.evaluation.point_sets import MATCH_GATE
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.physics import Scene, link_phase, link_phase_error

CONFIDENT = 0.95  # stated probabilities above this one count as confident
FALSE_ALARM = 1e-2  # of the genie in a scene, as of the detection of the estimators
IN_REACH = 0.99  # share of the draws in which the genie finds a scatterer that is in reach


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """What one estimate of one scene says about itself, beside the truth.

    Attributes:
        converged: the estimator reports that it has converged.
        diagnosed: the estimator reports at least one diagnosis.
        confident: number of estimated scatterers with a probability above 0.95.
        confident_false: those of them without a true scatterer within lambda_c / 10, see `missed` of `SceneMetrics`.
        silently_wrong: a scatterer is missed or false, although the estimate has converged, has no diagnosis, and gives
            every scatterer a probability above 0.95.
        silently_wrong_in_reach: the same, where only missed scatterers in reach of the genie count.
        genie: probability that the genie finds all scatterers, see `bounds.genie`.
        determination: real equations of one subcarrier over real unknowns. More subcarriers are redundant unless their
            band resolves the differences of the paths.
        phase_spread: root mean square of the true link phases, gauge removed [rad]; nan without links.
    """

    converged: bool
    diagnosed: bool
    confident: int
    confident_false: int
    silently_wrong: bool
    silently_wrong_in_reach: bool
    genie: float
    determination: float
    phase_spread: float


def confidence(
    scene: Scene, estimate: Estimate, index: int, bound: Bound, true: Tensor, estimated: Tensor
) -> Confidence:
    """Confidence of the estimate of one scene.

    Args:
        scene: the scene, a batch of one in float64.
        estimate: estimate of the whole batch.
        index: index of the scene in that batch.
        bound: joint bound of the scene.
        true, estimated: indices of the matched pairs.
    """
    amplitude = scene.reflectivity[0].abs()
    probability = estimate.scatterers[index].probability.detach().cpu()
    threshold = math.log(scene.grid.centre.shape[1] / FALSE_ALARM)
    found = detections(bound, amplitude, MATCH_GATE * float(scene.array.wavelength), threshold)
    missed, false = torch.ones(len(amplitude), dtype=torch.bool), torch.ones(len(probability), dtype=torch.bool)
    missed[true], false[estimated] = False, False
    converged, diagnosed = bool(estimate.converged[index]), len(estimate.diagnosis[index]) > 0
    confident = probability > CONFIDENT
    silent = converged and not diagnosed and bool(confident.all())
    phase = link_phase(scene.tx_phase, scene.rx_phase)
    phase = link_phase_error(phase, torch.zeros_like(phase), scene.link)
    in_reach = found.double().mean(0) >= IN_REACH
    return Confidence(
        converged=converged,
        diagnosed=diagnosed,
        confident=int(confident.sum()),
        confident_false=int((confident & false).sum()),
        silently_wrong=silent and bool(missed.any() or false.any()),
        silently_wrong_in_reach=silent and bool((missed & in_reach).any() or false.any()),
        genie=float(found.all(1).double().mean()),
        determination=determination(scene),
        phase_spread=float(phase[0][scene.link[0]].square().mean().sqrt()),
    )


def determination(scene: Scene) -> float:
    """Real equations of one subcarrier over real unknowns of a scene, a batch of one."""
    n_scatterers, dimension = scene.position.shape[1:]
    gauge = 1 if bool((scene.los & scene.link).any()) else 2
    unknowns = n_scatterers * (dimension + 2) + sum(scene.link.shape[1:]) - gauge
    return 2 * int(scene.link.sum()) / max(unknowns, 1)
