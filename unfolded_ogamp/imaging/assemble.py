"""Assemble the estimate, in the units of the CSI, from the results of an estimator in problem units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor

from unfolded_ogamp.imaging.ambiguity import split
from unfolded_ogamp.imaging.estimate import Estimate, History, Scatterers
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty, uncertainty
from unfolded_ogamp.imaging.mismatch import diagnosis
from unfolded_ogamp.imaging.model import Model, power
from unfolded_ogamp.imaging.outcome import Outcome, listing_sentences, sentences, warn
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import link_phasor, relative_to_reference
from unfolded_ogamp.records import concatenate

LISTS = ("scatterers", "outside", "diagnosis")  # of an estimate, one entry per scene
MOST_CERTAIN = 0.95  # largest probability of a scatterer if the residual exceeds the noise
GATE = 0.1  # largest error of the position of a found scatterer, in carrier wavelengths


def from_parts(
    problem: Problem,
    scatterers: list[Scatterers],
    tx_phase: Tensor,
    rx_phase: Tensor,
    phase_std: tuple[Tensor, Tensor],
    reference: Tensor,
    pixel_probability: Tensor,
    finite: Tensor,
    history: History,
    noise: Tensor | None = None,
    outside: list[Scatterers] | None = None,
    converged: Tensor | None = None,
    diagnosis: list[tuple[str, ...]] | None = None,
) -> Estimate:
    """The estimate in the units of the CSI.

    Args:
        problem: geometry, CSI and units.
        scatterers, outside: of every scene, in the units of the CSI; nothing outside by default.
        tx_phase, rx_phase: node phases [B, n_tx, K'], [B, n_rx, K'], K' = 1 if all frequencies share a phase.
        phase_std: standard deviations of Tx and Rx phases [B, n_tx], [B, n_rx], see `Estimate`.
        reference: channel without phases, line of sight included, complex [B, n_tx, n_rx, K].
        pixel_probability: [B, N].
        finite: see `Estimate`.
        history: in the units of the CSI.
        noise: noise variance to report [B]; by default the given one, or the mean power of the residual if it is larger.
        converged, diagnosis: see `Estimate`; by default, scenes converge whose residual is at most the noise plus
            four standard deviations.
    """
    prediction = reference * link_phasor(tx_phase, rx_phase).conj() * problem.link
    residual = problem.mean_power(problem.csi - prediction)
    if noise is None:
        noise = torch.maximum(residual, problem.noise_variance)
    if converged is None:
        converged = residual <= (1 + model_selection.MARGIN * problem.n_samples.rsqrt()) * problem.noise_variance
    unit, n_frequencies = problem.unit.square(), problem.csi.shape[-1]
    tx_phase, rx_phase = relative_to_reference(tx_phase, rx_phase, problem.link[..., 0] > 0)
    tx_without_los, rx_without_los = problem.without_los
    return Estimate(
        scatterers=scatterers,
        outside=[one[:0] for one in scatterers] if outside is None else outside,
        tx_phase=tx_phase.expand(-1, -1, n_frequencies),
        rx_phase=rx_phase.expand(-1, -1, n_frequencies),
        tx_phase_std=phase_std[0],
        rx_phase_std=phase_std[1],
        pixel_probability=pixel_probability,
        noise_variance=noise * unit,
        noise_std=problem.noise_std * unit,
        prediction=prediction * problem.unit[:, None, None, None],
        residual=residual * unit,
        tx_without_los=tx_without_los,
        rx_without_los=rx_without_los,
        converged=converged,
        diagnosis=[()] * len(converged) if diagnosis is None else diagnosis,
        finite=finite,
        history=history,
    )


def from_model(
    model: Model,
    problem: Problem,
    outcome: Outcome,
    dtype: torch.dtype,
    decide: Callable[[Model, Problem, Uncertainty], Tensor] | None = None,
) -> Estimate:
    """The estimate of a model, with the uncertainty of the joint likelihood.

    Args:
        model: in double precision, corrections refitted.
        problem: geometry, CSI and units.
        outcome: of the search that found the model; its support has the slots of the model.
        dtype: real precision of the estimate.
        decide: probability that a source is a scatterer [B, S], from model, problem and uncertainty; by default
            `presence` of its echoes.

    Warns:
        MismatchWarning: if the model does not explain the CSI; uncertainties then use the jackknife noise of the nodes.
    """
    noise, level = noise_levels(model, problem, outcome)
    known = uncertainty(model, problem)
    covariance = known.position * level[..., None, None]
    if decide is None:
        strength = model_selection.strength(model, problem)
        probability = presence(strength / level, problem.grid.centre.shape[1])
    else:
        probability = decide(model, problem, known).to(level)
    share = torch.where(outcome.trapped[:, None], outcome.support, 1.0)
    fitted = MOST_CERTAIN * explained(model, problem)
    share = torch.where(outcome.consistent[:, None], share, share * fitted[:, None])
    located = within(covariance, GATE * problem.array.wavelength)
    probability = probability * share * located
    listed = strongest(model, problem, outcome)
    vague = listed & (located < 0.5) & outcome.converged[:, None]
    scatterers, outside, found = [], [], sentences(model, problem, outcome)
    for scene, used in enumerate(listed):
        every = Scatterers(
            position=model.sources.position[scene, used],
            covariance=mixed(covariance[scene, used], share[scene, used], problem.grid.centre[scene]),
            reflectivity=model.sources.reflectivity[scene, used] * problem.reflectivity_scale[scene],
            probability=probability[scene, used],
        )
        one = slice(scene, scene + 1)
        within_region, beyond, ambiguous = split(every, problem.array[one], problem.grid[one])
        scatterers.append(within_region)
        outside.append(beyond)
        found[scene] += listing_sentences(int(vague[scene].sum()), len(beyond.position), ambiguous)
    warn(found)
    centres = problem.grid.centre
    pixels = [pixel_presence(one.position, one.probability, centres[i]) for i, one in enumerate(scatterers)]
    residual = (model.cost / problem.n_samples * problem.unit.square())[:, None].to(dtype)
    # a phase that the CSI does not determine has an infinite deviation, even without noise
    tx_std, rx_std = (
        torch.where(outcome.trapped[:, None], torch.inf, (variance * noise[:, None]).nan_to_num(nan=torch.inf).sqrt())
        for variance in (known.tx_phase, known.rx_phase)
    )
    sources = model.sources
    return from_parts(
        problem.to(dtype=dtype),
        [_by_strength(one, dtype) for one in scatterers],
        outside=[_by_strength(one, dtype) for one in outside],
        *(sources.tx_phase[..., None].to(dtype), sources.rx_phase[..., None].to(dtype)),
        phase_std=(tx_std.to(dtype), rx_std.to(dtype)),
        reference=model.channel.to(dtype.to_complex()),
        pixel_probability=torch.stack(pixels).to(dtype),
        finite=torch.isfinite(model.cost),
        history=History(residual, torch.zeros_like(residual), sources.used.sum(1)[:, None]),
        noise=noise.to(dtype),
        converged=outcome.converged,
        diagnosis=found,
    )


def explained(model: Model, problem: Problem) -> Tensor:
    """Share of the scattered power that the sources explain [B], 0 to 1; the rest, if not noise, can invent sources."""
    scattered = power(model.residual + (model.channel - problem.los) * problem.link)
    return (1 - model.cost / scattered).clamp(0, 1)


def noise_levels(model: Model, problem: Problem, outcome: Outcome) -> tuple[Tensor, Tensor]:
    """Noise variance [B], and its level for every source [B, S], which jackknife noise of the nodes can raise."""
    of_residual = model_selection.noise_power(model, problem)
    noise = torch.where(outcome.consistent, problem.noise_variance, of_residual.maximum(problem.noise_variance))
    of_nodes = torch.zeros_like(model.sources.position[..., 0])
    scenes = (model.correction.extended | (~outcome.consistent & ~outcome.ratio.isinf())).nonzero()[:, 0]
    if len(scenes) > 0:
        of_nodes = of_nodes.index_copy(0, scenes, diagnosis.node_noise(model[scenes], problem[scenes]))
    return noise, torch.maximum(noise[:, None], of_nodes)


def strongest(model: Model, problem: Problem, outcome: Outcome) -> Tensor:
    """Sources that are listed, bool [B, S]: all, but in trapped scenes as many as the rank of the links' matrix."""
    strength = torch.where(model.sources.used, model_selection.strength(model, problem), -torch.inf)
    place = strength.argsort(dim=1, descending=True).argsort(dim=1)
    return model.sources.used & (~outcome.trapped[:, None] | (place < outcome.least_count[:, None]))


def within(covariance: Tensor, radius: Tensor) -> Tensor:
    """Probability that Gaussian errors of covariance [B, S, D, D] are shorter than `radius` [B]: [B, S].

    The squared length has the mean tr C and the variance 2 tr C^2; a gamma distribution of the same moments is taken.
    """
    mean = covariance.diagonal(dim1=2, dim2=3).sum(2)
    half_variance = covariance.square().sum((2, 3))
    shape = mean.square() / (2 * half_variance)
    scaled = radius.square()[:, None] * mean / (2 * half_variance)
    known = torch.isfinite(mean) & (mean > 0)
    share = torch.special.gammainc(torch.where(known, shape, 1.0), torch.where(known, scaled, 1.0))
    return torch.where(known, share, (mean == 0).to(share))


def mixed(covariance: Tensor, share: Tensor, centre: Tensor) -> Tensor:
    """Covariance [S, D, D] if a position is uniform over the pixels [N, D] with probability 1 - share [S]."""
    uniform = torch.diag((centre.amax(0) - centre.amin(0)).square() / 12)
    return torch.where(
        (share < 1)[:, None, None], share[:, None, None] * covariance + (1 - share)[:, None, None] * uniform, covariance
    )


def _by_strength(found: Scatterers, dtype: torch.dtype) -> Scatterers:
    """The scatterers in descending order of amplitude times probability, in the real precision `dtype`."""
    order = (found.reflectivity.abs() * found.probability).argsort(descending=True)
    return Scatterers(
        position=found.position[order].to(dtype),
        covariance=found.covariance[order].to(dtype),
        reflectivity=found.reflectivity[order].to(dtype.to_complex()),
        probability=found.probability[order].to(dtype),
    )


def join(entries: list[History]) -> History:
    """Concatenate entries [B, 1] to one history, in order."""
    return History(
        residual=torch.cat([entry.residual for entry in entries], dim=1),
        change=torch.cat([entry.change for entry in entries], dim=1),
        active=torch.cat([entry.active for entry in entries], dim=1),
    )


def presence(above_noise: Tensor, n_pixels: int) -> Tensor:
    """Probability of scatterers from the power of their echoes over the noise variance.

    It is 1 - p / 2, p the probability (union bound) that noise reaches this power in any pixel, and thus at least 1/2.
    """
    return 1 - 0.5 * (n_pixels * torch.exp(-above_noise)).clamp(max=1.0)


def pixel_presence(position: Tensor, probability: Tensor, centre: Tensor) -> Tensor:
    """Largest probability of the scatterers [S, D] in every pixel [N]; probabilities are [S], centres [N, D]."""
    nearest = torch.cdist(position, centre).argmin(1)
    return torch.zeros_like(centre[:, 0]).scatter_reduce(0, nearest, probability, "amax")


def batched(estimates: Sequence[Estimate]) -> Estimate:
    """Concatenate estimates to one batch, in order; shorter histories repeat their last entry."""
    length = max(estimate.history.residual.shape[1] for estimate in estimates)

    def lengthened(entry: Tensor) -> Tensor:
        return torch.cat([entry, entry[:, -1:].expand(-1, length - entry.shape[1])], dim=1)

    joined = {
        field.name: torch.cat([getattr(estimate, field.name) for estimate in estimates])
        for field in fields(Estimate)
        if field.name not in LISTS and field.name != "history"
    }
    return Estimate(
        **{name: [entry for estimate in estimates for entry in getattr(estimate, name)] for name in LISTS},
        history=concatenate([estimate.history.map(lengthened) for estimate in estimates]),
        **joined,
    )
