"""One start of the self-calibrating fit: targets that are apart first, then close ones, and at last extended ones."""

from __future__ import annotations

import torch

from unfolded_ogamp.imaging.likelihood.clusters import EXTENT, beside, clustered
from unfolded_ogamp.imaging.likelihood.model_selection import strength
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration import detection, weights
from unfolded_ogamp.imaging.selfcalibration.evidence import negative_evidence
from unfolded_ogamp.imaging.selfcalibration.fit import (
    Fit,
    align,
    begin,
    converge,
    joint_steps,
    reweighted,
    update,
    with_sources,
)
from unfolded_ogamp.imaging.selfcalibration.priors import Scales, with_moments
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings
from unfolded_ogamp.imaging.sources import Sources, remove, trim


def run(problem: Problem, phases: NodePhases, settings: CalibrationSettings) -> Fit:
    """One start from node phases [1, n, 1], without sources and with nodes as listed."""
    sources = Sources.none(problem, phases.tx[..., 0], phases.rx[..., 0])
    return resume(begin(problem, sources, Scales.first(problem)), problem, settings)


def resume(fit: Fit, problem: Problem, settings: CalibrationSettings) -> Fit:
    """Continue a fit of one scene; `problem` has no weights."""
    apart = converge(rounds(fit, problem, settings, settings.rounds, EXTENT), problem, settings)
    if apart.consistent and not _clustered(apart):
        return apart
    points = converge(rounds(apart, problem, settings, settings.close_rounds, 0.0), problem, settings)
    if points.consistent and not _clustered(points):
        return points
    targets = extended(apart, problem, settings)
    return min(points, targets, key=lambda one: float(negative_evidence(one, problem, settings)))


def _clustered(fit: Fit) -> bool:
    """Whether sources cluster: they may be parts of extended targets."""
    return bool(clustered(fit.model.sources, strength(fit.model, fit.problem), fit.problem))


def rounds(fit: Fit, problem: Problem, settings: CalibrationSettings, most: int, apart: float) -> Fit:
    """At most `most` rounds until no echo exceeds the threshold: weights, detection, phases, joint steps, pruning.

    No source is added closer than `apart` wavelengths to another one.
    """
    link = problem.link[..., 0] > 0
    for _ in range(most):
        fit = reweighted(fit, problem, weights.student(fit.model, fit.problem, link))
        grid = detection.search_grid(fit.model.sources, fit.problem, settings.spacing)
        grown = detection.add(fit.model, fit.problem, grid, settings, most=1 + fit.count // 3, apart=apart)
        if int(grown.used.sum()) == fit.count:
            break
        fit = joint_steps(align(with_sources(fit, grown), settings), settings, settings.round_steps)
        fit = with_sources(fit, detection.merge_and_prune(fit.model, fit.problem, settings))
    return fit


def extended(fit: Fit, problem: Problem, settings: CalibrationSettings) -> Fit:
    """The fit with moments: weaker sources beside another one are left out, and come back if they are needed."""
    sources = fit.model.sources
    weaker = beside(sources, detection.robust_strength(fit.model, fit.problem), EXTENT * problem.array.wavelength)
    alone = converge(with_sources(fit, with_moments(trim(remove(sources, weaker)))), problem, settings)
    grown = rounds(alone, problem, settings, settings.rounds, EXTENT)
    return merged(converge(grown, problem, settings), problem, settings)


def merged(fit: Fit, problem: Problem, settings: CalibrationSettings) -> Fit:
    """The fit without sources beside others that the evidence does not need, tried from the weakest on."""
    tried = 0
    while True:
        sources = fit.model.sources
        level = detection.robust_strength(fit.model, fit.problem)
        near = beside(sources, level, EXTENT * problem.array.wavelength)
        order = torch.where(near, level, torch.inf).argsort(dim=1)[0]
        if tried >= int(near.sum()):
            return fit
        removed = torch.zeros_like(near)
        removed[0, order[tried]] = True
        fewer = update(with_sources(fit, trim(remove(sources, removed))), problem, settings)
        if negative_evidence(fewer, problem, settings) < negative_evidence(fit, problem, settings):
            fit = fewer
        else:
            tried += 1
