"""From a search to an estimate on all subcarriers, by the plain or the self-calibrating fit of every scene."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unfolded_ogamp.imaging.assembly import assemble
from unfolded_ogamp.imaging.assembly.outcome import Outcome
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.greedy.agreement import support
from unfolded_ogamp.imaging.greedy.calibration import Calibration
from unfolded_ogamp.imaging.greedy.restarts import Searched, clustered_points
from unfolded_ogamp.imaging.greedy.rounds import refine
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.model_selection import noise_power
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty
from unfolded_ogamp.imaging.model import Model, evaluate, trim_slots
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration.covariance import fit_uncertainty
from unfolded_ogamp.imaging.selfcalibration.evidence import negative_evidence
from unfolded_ogamp.imaging.selfcalibration.fit import as_listed

Decide = Callable[[Model, Problem, Uncertainty], Tensor]


def conclude(
    found: Searched,
    problem: Problem,
    full: Problem,
    settings: GreedySettings,
    dtype: torch.dtype,
    decide: Decide | None = None,
) -> Estimate:
    """The estimate of a search, refined on all subcarriers.

    Args:
        found: the search on `problem`.
        problem: with coherent subcarriers averaged.
        full: with all subcarriers.
        settings: settings of the greedy estimator.
        dtype, decide: as in `assemble.from_model`.
    """
    confirmed, chosen = found.confirmed(problem), {}
    for scene, calibration in found.calibrations.items():
        if not confirmed[scene] and better_than_plain(calibration, trim_slots(found.best.model[scene : scene + 1])):
            chosen[scene] = calibration
    if not chosen:
        return conclude_plain(found, problem, full, settings, dtype, decide)
    parts = []
    for scene in range(len(problem.csi)):
        one = slice(scene, scene + 1)
        if scene in chosen:
            parts.append(conclude_calibrated(chosen[scene], full[one], dtype))
        else:
            alone = found.scene(scene)
            parts.append(conclude_plain(alone, problem[one], full[one], settings, dtype, decide))
    return assemble.batched(parts)


def conclude_plain(
    found: Searched,
    problem: Problem,
    full: Problem,
    settings: GreedySettings,
    dtype: torch.dtype,
    decide: Decide | None,
) -> Estimate:
    """The estimate of the best plain starts, see `conclude`."""
    model = trim_slots(found.best.model)
    outcome = found.outcome(model, problem)
    if full.csi.shape != problem.csi.shape:
        state = joint_step.init(evaluate(model.sources, full))
        model = refine(state, full, settings.step, settings.step.final_steps).model
    return assemble.from_model(model, full, outcome.on_all_subcarriers(model, full), dtype, decide=decide)


def better_than_plain(calibration: Calibration, plain: Model) -> bool:
    """Whether the best self-calibrating start of a scene explains the CSI better than a plain model.

    Points that cluster are parts of targets: fewer targets that leave no larger residual are better.
    """
    best, problem = calibration.best, calibration.problem
    if best is None or best.consistent:
        return best is not None
    without = as_listed(problem, plain.sources)
    power = [float(noise_power(fit.model, fit.problem)) for fit in (best, without)]
    if bool(clustered_points(plain, problem)) and best.count < without.count and power[0] <= power[1]:
        return True
    costs = [negative_evidence(fit, problem, calibration.settings) for fit in (best, without)]
    return bool(costs[0] < costs[1])


def conclude_calibrated(calibration: Calibration, full: Problem, dtype: torch.dtype) -> Estimate:
    """The estimate of the best self-calibrating start of a scene; only the prediction is on all subcarriers."""
    fit = calibration.best
    assert fit is not None
    problem, model = fit.problem, fit.model
    outcome = Outcome.of(
        model,
        problem,
        torch.full_like(problem.phases_known, calibration.confirmed),
        torch.full_like(problem.phases_known, calibration.agreed),
        torch.full_like(problem.least_count, calibration.starts),
        support(model, problem, [(torch.zeros_like(problem.least_count), one) for one in calibration.found]),
    )
    known = fit_uncertainty(fit, calibration.settings)
    if full.csi.shape != problem.csi.shape:
        problem = full.weighted(problem.link.square())
        model = evaluate(model.sources, problem)
        outcome = outcome.on_all_subcarriers(model, problem)
    return assemble.from_model(model, problem, outcome, dtype, known)
