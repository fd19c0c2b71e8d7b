"""One start of the self-calibrating fit: targets that are apart first, then close ones, and at last extended ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.clusters import EXTENT, clustered, owners
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
    updated_scales,
    with_sources,
)
from unfolded_ogamp.imaging.selfcalibration.merging import combined
from unfolded_ogamp.imaging.selfcalibration.priors import Scales, with_moments
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings
from unfolded_ogamp.imaging.sources import Nodes, Sources

GROUP = 0.4  # radius about the strongest point of a target within which points are parts of it, in wavelengths
BESIDE = 1.0  # distance of targets that may be one, in wavelengths


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
    close = _clustered(points)
    if not close and (points.consistent or not moments_help(points, settings)):
        return points
    targets = extended(points, problem, settings)
    return min(points, targets, key=lambda one: float(negative_evidence(one, problem, settings)))


def _clustered(fit: Fit) -> bool:
    """Whether sources cluster: they may be parts of extended targets."""
    return bool(clustered(fit.model.sources, strength(fit.model, fit.problem), fit.problem))


def moments_help(fit: Fit, settings: CalibrationSettings) -> bool:
    """Whether moments of the sources raise the evidence, after one joint step."""
    tried = joint_steps(with_sources(fit, with_moments(fit.model.sources)), settings, 1)
    found, _ = updated_scales(tried, settings)
    return bool(found.moment > Scales.least(fit.problem).moment)


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
    """The fit with moments: every group of close sources is one target, and further targets are added if needed.

    Nodes and weights start anew: they hold what they took on for targets as points.
    """
    targets = replace(combined(fit.model.sources, _groups(fit, GROUP), fit.problem), nodes=Nodes.as_listed(problem))
    begun = begin(problem, targets, Scales.first(problem))
    begun = reweighted(begun, problem, weights.student(begun.model, begun.problem, problem.link[..., 0] > 0))
    alone = converge(begun, problem, settings)
    grown = rounds(alone, problem, settings, settings.rounds, EXTENT)
    return merged(converge(grown, problem, settings), problem, settings)


def merged(fit: Fit, problem: Problem, settings: CalibrationSettings) -> Fit:
    """The fit with close targets as one where the evidence rises, tried from the weakest on."""
    tried = 0
    while True:
        sources, owner = fit.model.sources, _groups(fit, BESIDE)
        slot = torch.arange(fit.count)
        near = (owner[0] != slot).nonzero()[:, 0]
        if tried >= len(near):
            return fit
        weakest = near[detection.robust_strength(fit.model, fit.problem)[0, near].argsort()[tried]]
        one = torch.where(slot == weakest, owner, slot)
        fewer = update(with_sources(fit, combined(sources, one, fit.problem)), problem, settings)
        if negative_evidence(fewer, problem, settings) < negative_evidence(fit, problem, settings):
            fit = fewer
        else:
            tried += 1


def _groups(fit: Fit, radius: float) -> Tensor:
    """The source that stands for the group of every source within `radius` wavelengths, int64 [1, S]."""
    strength = detection.robust_strength(fit.model, fit.problem)
    return owners(fit.model.sources, strength, radius * fit.problem.array.wavelength)
