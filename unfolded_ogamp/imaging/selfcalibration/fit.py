"""A self-calibrating fit of one scene: joint steps, scales of the priors, and weights of the links."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.alignment import aligned
from unfolded_ogamp.imaging.likelihood.model_selection import consistent, decisive, price_of_source, unknowns
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration import step, weights
from unfolded_ogamp.imaging.selfcalibration.empirical_bayes import empirical_bayes
from unfolded_ogamp.imaging.selfcalibration.priors import Scales
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings
from unfolded_ogamp.imaging.selfcalibration.step import CalibrationState, Equations, Freedom
from unfolded_ogamp.imaging.sources import Sources, remove, trim
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.records import Record, choose

GAUGE = 1e-10  # damping that makes the gauge invertible
STABLE = 0.01  # relative change of cost and effective unknowns between two updates that have converged


@dataclass(frozen=True)
class Fit(Record):
    """A self-calibrating fit of one scene, a batch of one.

    Attributes:
        state: model and scales.
        problem: the problem with the weights of the links that the model has.
    """

    state: CalibrationState
    problem: Problem

    @property
    def model(self) -> Model:
        """The model."""
        return self.state.model

    @property
    def count(self) -> int:
        """Number of sources."""
        return int(self.model.sources.used.sum())

    @property
    def consistent(self) -> bool:
        """Whether the residual, each link with its weight, is consistent with the noise, and outliers stand out."""
        return bool(consistent(self.model, self.problem) & weights.outliers_stand_out(self.model, self.problem))

    @property
    def decisive(self) -> bool:
        """Whether no echo can hide in the residual, see `model_selection.decisive`."""
        return bool(decisive(self.model, self.problem))


def begin(problem: Problem, sources: Sources, scales: Scales) -> Fit:
    """A fit before any step, with the weights that the problem has."""
    return Fit(step.init(evaluate(sources, problem), scales), problem)


def as_listed(problem: Problem, sources: Sources) -> Fit:
    """The fit of sources with nodes as listed, by priors that hold them there."""
    fit = begin(problem, sources, Scales.least(problem))
    return reweighted(fit, problem, mixture(fit, problem).weight)


def with_sources(fit: Fit, sources: Sources) -> Fit:
    """The fit with other sources, before any step."""
    return begin(fit.problem, sources, fit.state.scales)


def reweighted(fit: Fit, base: Problem, weight: Tensor) -> Fit:
    """The fit with other weights of the links [1, n_tx, n_rx, 1]; `base` has none."""
    problem = base.weighted(weight)
    return Fit(replace(fit.state, model=evaluate(fit.model.sources, problem)), problem)


def freedom(fit: Fit, settings: CalibrationSettings) -> Freedom:
    """What is free: phases from a few scatterers on, nodes from some more, if there are samples enough."""
    sources, problem = fit.model.sources, fit.problem
    count, nodes = sources.used.sum(1), sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    per_source = sources.position.shape[-1] + 2
    phases = ((count >= settings.phase_count) | problem.has_los) & ~problem.phases_known
    # an extended target adds more than one to the rank of the links
    least = torch.ones_like(count) if sources.moment.shape[-1] else problem.least_count.clamp(min=1)
    enough = torch.minimum(torch.full_like(count, settings.node_count), least)
    samples = settings.samples * (nodes * per_source + problem.least_count * per_source)
    return Freedom(phases, (count >= enough) & (2 * problem.n_samples >= samples))


def align(fit: Fit, settings: CalibrationSettings) -> Fit:
    """The fit after a fit of its free node phases to the predicted channel."""
    free = freedom(fit, settings).phases & ~fit.problem.phases_told  # joint steps keep to a prior
    return with_sources(fit, aligned(fit.model, fit.problem, free))


def joint_steps(fit: Fit, settings: CalibrationSettings, steps: int) -> Fit:
    """Joint steps to convergence, at most `steps`."""
    state, free = fit.state, freedom(fit, settings)
    converged = torch.zeros_like(free.phases)
    for _ in range(steps):
        state = choose(converged, state, step.step(state, fit.problem, free, settings.largest_move))
        converged = converged | (state.decrease < settings.tolerance)
        if converged.all():
            break
    return Fit(state, fit.problem)


def posterior(fit: Fit, settings: CalibrationSettings) -> tuple[Tensor, Equations]:
    """Posterior covariance of the unknowns [1, P, P] at the noise of the fit, and its normal equations."""
    posed = step.equations(fit.state, fit.problem, freedom(fit, settings))
    inverse, _ = least_squares.inverse(posed.matrix, GAUGE, posed.free)
    return inverse * step.noise_level(fit.model, fit.problem)[:, None, None] / 2, posed


def updated_scales(fit: Fit, settings: CalibrationSettings) -> tuple[Scales, Tensor]:
    """The scales that maximise the evidence, and the effective number of unknowns of nodes and moments [1]."""
    covariance, posed = posterior(fit, settings)
    return empirical_bayes(fit.state.scales, posed.prior, covariance, posed.free, fit.problem)


def update(fit: Fit, base: Problem, settings: CalibrationSettings) -> Fit:
    """One update of scales and weights, and joint steps; `base` is the problem without weights."""
    scales, effective = updated_scales(fit, settings)
    sources = replace(fit.model.sources, effective=effective)
    fit = Fit(replace(fit.state, model=replace(fit.model, sources=sources), scales=scales), fit.problem)
    return joint_steps(reweighted(fit, base, mixture(fit, base).weight), settings, settings.round_steps)


def mixture(fit: Fit, base: Problem) -> weights.Mixture:
    """The mixture of good links and outliers of a fit."""
    return weights.mixture(fit.model, fit.problem, base.link[..., 0] > 0, unknowns(fit.model, fit.problem))


def converge(fit: Fit, base: Problem, settings: CalibrationSettings) -> Fit:
    """Updates until they converge, and removal of sources whose amplitude is uncertain, one at a time."""
    for _ in range(settings.updates):
        before, fit = fit, update(fit, base, settings)
        if _stable(before, fit):
            break
    while bool((weakest := uncertain(fit, settings)).any()):
        fit = update(with_sources(fit, trim(remove(fit.model.sources, weakest))), base, settings)
    return joint_steps(fit, settings, settings.steps)


def _stable(before: Fit, after: Fit) -> bool:
    """Whether an update changed neither the cost over the noise nor the effective number of unknowns."""
    cost = [fit.model.cost / step.noise_level(fit.model, fit.problem) for fit in (before, after)]
    count = [fit.model.sources.effective for fit in (before, after)]
    return all(bool((new - old).abs() <= STABLE * new) for old, new in (cost, count))


def uncertain(fit: Fit, settings: CalibrationSettings) -> Tensor:
    """The source with the least Wald statistic of its amplitude, if it is below the price of a source: bool [1, S]."""
    sources = fit.model.sources
    if not sources.used.any():
        return sources.used
    variance = amplitude_variance(posterior(fit, settings)[0], sources)
    power = sources.reflectivity.real.square() + sources.reflectivity.imag.square()
    wald = power / variance.clamp(min=torch.finfo(power.dtype).tiny)
    margin = torch.where(sources.used, wald - price_of_source(fit.problem)[:, None], torch.inf)
    lowest = margin.amin(1, keepdim=True)
    return sources.used & (margin <= lowest) & (lowest < 0)


def amplitude_variance(covariance: Tensor, sources: Sources) -> Tensor:
    """Variance of |x| of every source [B, S], from the covariance of all unknowns [B, P, P]."""
    n_slots, dimension = sources.position.shape[1:]
    real, imaginary = (slice(n_slots * (dimension + part), n_slots * (dimension + part + 1)) for part in (0, 1))
    diagonal = covariance.diagonal(dim1=1, dim2=2)
    mixed = covariance[:, real, imaginary].diagonal(dim1=1, dim2=2)
    unit = sources.reflectivity / sources.reflectivity.abs().clamp(min=torch.finfo(diagonal.dtype).tiny)
    own = unit.real.square() * diagonal[:, real] + unit.imag.square() * diagonal[:, imaginary]
    return own + 2 * unit.real * unit.imag * mixed
