"""One start of the self-calibrating fit: rounds of detection and joint steps, then empirical Bayes and pruning."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.likelihood.model_selection import consistent, price_of_source, strength, unknowns
from unfolded_ogamp.imaging.mismatch.diagnosis import companions
from unfolded_ogamp.imaging.model import Correction, Model, evaluate
from unfolded_ogamp.imaging.phases import refinement
from unfolded_ogamp.imaging.phases.refinement import ALIGNMENT, NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration import detection, step, weights
from unfolded_ogamp.imaging.selfcalibration.priors import Scales, empirical_bayes, with_moments
from unfolded_ogamp.imaging.selfcalibration.step import CalibrationState, Freedom
from unfolded_ogamp.imaging.sources import Sources, remove, trim
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.records import Record, choose

NODES_FROM = 8  # scatterers from which on nodes are free
GAUGE = 1e-10
CLOSE_ROUNDS = 2
UPDATES = 6  # of empirical Bayes and of the weights after the last round


@dataclass(frozen=True)
class Fit(Record):
    """A self-calibrating fit.

    Attributes:
        state: model and scales; the model has the weights of the links.
        problem: the problem with these weights.
    """

    state: CalibrationState
    problem: Problem

    @property
    def model(self) -> Model:
        return self.state.model


def begin(problem: Problem, sources: Sources, scales: Scales) -> Fit:
    """A fit before any step, all links with the same weight."""
    return Fit(step.init(evaluate(sources, problem, Correction.none(problem)), scales), problem)


def reweighted(fit: Fit, base: Problem, weight: Tensor) -> Fit:
    """The fit with other weights of the links."""
    problem = base.weighted(weight)
    model = evaluate(fit.model.sources, problem, fit.model.correction)
    return Fit(replace(fit.state, model=model), problem)


def freedom(model: Model, problem: Problem, settings: GreedySettings) -> Freedom:
    """What is free: phases from a few scatterers on, nodes from some more."""
    count = model.sources.used.sum(1)
    phases = (count >= settings.step.phase_count) | problem.has_los
    few = torch.minimum(torch.full_like(count, NODES_FROM), problem.least_count.clamp(min=settings.step.phase_count))
    return Freedom(phases & ~problem.phases_known, count >= few)


def joint_steps(fit: Fit, settings: GreedySettings, steps: int, tolerance: float) -> Fit:
    """Joint steps to convergence."""
    state, free = fit.state, freedom(fit.model, fit.problem, settings)
    converged = torch.zeros_like(free.phases)
    for _ in range(steps):
        moved = step.step(state, fit.problem, free, settings.step.largest_move)
        state = choose(converged, state, moved)
        converged = converged | (state.decrease < tolerance)
        if converged.all():
            break
    return Fit(state, fit.problem)


def align(fit: Fit, settings: GreedySettings) -> Fit:
    """The fit after a fit of its free node phases to the predicted channel by power iteration, (24)."""
    model, problem = fit.model, fit.problem
    sources, free = model.sources, freedom(model, problem, settings).phases[:, None]
    phases = NodePhases.at_rest(sources.tx_phase[..., None], sources.rx_phase[..., None])
    measured = (problem.link > 0).to(problem.link)
    fitted = refinement.step(problem.csi, model.channel, measured, phases, ALIGNMENT)
    sources = replace(
        sources,
        tx_phase=torch.where(free, fitted.tx[..., 0], sources.tx_phase),
        rx_phase=torch.where(free, fitted.rx[..., 0], sources.rx_phase),
    )
    return Fit(replace(fit.state, model=evaluate(sources, problem, model.correction)), problem)


def with_sources(fit: Fit, sources: Sources) -> Fit:
    return Fit(step.init(evaluate(sources, fit.problem, fit.model.correction), fit.state.scales), fit.problem)


def rounds(fit: Fit, base: Problem, settings: GreedySettings, most: int, apart: float) -> Fit:
    """At most `most` rounds until no echo exceeds the threshold: weights, detection, phases, joint steps, pruning.

    No source is added closer than `apart` wavelengths to another one.
    """
    link = base.link[..., 0] > 0
    for _ in range(most):
        fit = reweighted(fit, base, weights.student(fit.model, fit.problem, link))
        count = fit.model.sources.used.sum(1)
        grid = detection.search_grid(fit.model.sources, fit.problem, settings.detection.spacing)
        grown = detection.add(fit.model, fit.problem, grid, settings.detection, 1 + count // (3 if apart else 4), apart)
        if not bool((grown.used.sum(1) > count).any()):
            break
        fit = align(with_sources(fit, grown), settings)
        fit = joint_steps(fit, settings, settings.step.steps, settings.step.tolerance)
        fit = with_sources(fit, detection.merge_and_prune(fit.model, fit.problem, settings.detection))
    return fit


def posterior(fit: Fit, settings: GreedySettings) -> tuple[Tensor, step.Equations]:
    """Posterior covariance [B, P, P] of the unknowns per unit noise variance, and its equations."""
    free = freedom(fit.model, fit.problem, settings)
    posed = step.equations(fit.state, fit.problem, free)
    inverse, _ = least_squares.inverse(posed.matrix, GAUGE, posed.free)
    return inverse / 2, posed


def update(fit: Fit, base: Problem, settings: GreedySettings) -> Fit:
    """One update of scales and weights, and joint steps."""
    covariance, posed = posterior(fit, settings)
    noise = step.noise_level(fit.model, fit.problem)[:, None]
    scales, effective = empirical_bayes(
        fit.state.scales, posed.prior, covariance.diagonal(dim1=1, dim2=2) * noise, fit.problem
    )
    correction = replace(fit.model.correction, count=effective)
    model = replace(fit.model, correction=correction)
    fit = Fit(replace(fit.state, model=model, scales=scales, effective=effective), fit.problem)
    found = weights.mixture(fit.model, fit.problem, base.link[..., 0] > 0, unknowns(fit.model, fit.problem))
    fit = reweighted(fit, base, found.weight)
    fit = Fit(step.init(fit.model, fit.state.scales), fit.problem)
    return joint_steps(fit, settings, settings.step.final_steps, settings.step.tolerance)


def converge(fit: Fit, base: Problem, settings: GreedySettings) -> Fit:
    """Updates of scales and weights until they converge, and pruning of sources whose amplitude is uncertain."""
    for _ in range(UPDATES):
        before = fit.model.cost / step.noise_level(fit.model, fit.problem), fit.model.correction.count
        fit = update(fit, base, settings)
        after = fit.model.cost / step.noise_level(fit.model, fit.problem), fit.model.correction.count
        if all(bool(((one - other).abs() < 0.01 * other).all()) for one, other in zip(before, after, strict=True)):
            break
    for _ in range(fit.model.sources.used.shape[1]):
        covariance, _ = posterior(fit, settings)
        weakest = uncertain(fit, covariance)
        if not bool(weakest.any()):
            break
        fit = with_sources(fit, trim(remove(fit.model.sources, weakest)))
        fit = update(fit, base, settings)
    return fit


def uncertain(fit: Fit, covariance: Tensor) -> Tensor:
    """The source of every scene whose amplitude is least certain, if its Wald statistic is below the price; [B, S]."""
    sources = fit.model.sources
    n_slots, dimension = sources.position.shape[1:]
    noise = step.noise_level(fit.model, fit.problem)[:, None]
    first, second, third = n_slots * dimension, n_slots * (dimension + 1), n_slots * (dimension + 2)
    diagonal = covariance.diagonal(dim1=1, dim2=2)
    mixed = covariance[:, first:second, second:third].diagonal(dim1=1, dim2=2)
    unit = sources.reflectivity / sources.reflectivity.abs().clamp(min=torch.finfo(noise.dtype).tiny)
    variance = unit.real.square() * diagonal[:, first:second] + unit.imag.square() * diagonal[:, second:third]
    variance = (variance + 2 * unit.real * unit.imag * mixed) * noise
    wald = sources.reflectivity.abs().square() / variance.clamp(min=torch.finfo(noise.dtype).tiny)
    margin = torch.where(sources.used, wald - price_of_source(fit.problem)[:, None], torch.inf)
    lowest = margin.amin(1, keepdim=True)
    return sources.used & (margin <= lowest) & (lowest < 0)


def run(problem: Problem, phases: NodePhases, settings: GreedySettings) -> Fit:
    """One start from node phases [B, n, 1], without sources."""
    sources = Sources.none(problem, phases.tx[..., 0], phases.rx[..., 0])
    return resume(begin(problem, sources, Scales.first(problem)), problem, settings)


def resume(fit: Fit, problem: Problem, settings: GreedySettings) -> Fit:
    """Rounds and convergence: targets apart first, then close ones, and at last extended ones."""
    extent = settings.detection.extent
    first = converge(rounds(fit, problem, settings, settings.rounds, extent), problem, settings)
    if fits(first):
        return first
    points = converge(rounds(first, problem, settings, CLOSE_ROUNDS, 0.0), problem, settings)
    if fits(points):
        return points
    sources = first.model.sources
    beside = companions(sources, strength(first.model, first.problem), extent * problem.array.wavelength)
    alone = with_moments(trim(remove(sources, beside)))
    targets = converge(with_sources(first, alone), problem, settings)
    targets = converge(rounds(targets, problem, settings, settings.rounds, extent), problem, settings)
    return targets if bool(criterion(targets, problem, settings) < criterion(points, problem, settings)) else points


def criterion(fit: Fit, base: Problem, settings: GreedySettings) -> Tensor:
    """-2 log evidence [B]: that of the mixture, the price of every source, and Laplace's of what has a prior."""
    _, posed = posterior(fit, settings)
    found = weights.mixture(fit.model, fit.problem, base.link[..., 0] > 0, unknowns(fit.model, fit.problem))
    matrix, scale = least_squares.scaled(posed.matrix, GAUGE, posed.free)
    half = step.noise_level(fit.model, fit.problem)[:, None] / 2

    def log_det(chosen: Tensor) -> Tensor:
        inside = torch.where(chosen[:, :, None] & chosen[:, None], matrix, torch.eye(matrix.shape[1]).to(matrix))
        of_scale = torch.where(chosen & (scale > 0), -2 * scale.clamp(min=1e-300).log() - half.log(), 0).sum(1)
        return torch.linalg.slogdet(inside).logabsdet + of_scale

    every, image = torch.ones_like(posed.free), (posed.prior.group == 0).expand_as(posed.free)
    with_prior = posed.free & ~image
    of_prior = torch.where(with_prior, posed.prior.precision, 1).log().sum(1)
    occam = posed.prior.cost + log_det(every) - log_det(image) - of_prior
    count = fit.model.sources.used.sum(1)
    return -2 * found.log_likelihood + count * price_of_source(fit.problem) + occam


def fits(fit: Fit) -> bool:
    return bool(consistent(fit.model, fit.problem).all())
