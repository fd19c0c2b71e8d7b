"""Assemble the estimate, in the units of the CSI, from the results of an estimator in problem units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor

from unfolded_ogamp.imaging.estimate import Estimate, History, Scatterers
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty, uncertainty
from unfolded_ogamp.imaging.mismatch import diagnosis
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import link_phasor, relative_to_reference
from unfolded_ogamp.records import concatenate


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
    misfit: Tensor | None = None,
) -> Estimate:
    """The estimate in the units of the CSI.

    Args:
        problem: geometry, CSI and units.
        scatterers: of every scene, in the units of the CSI.
        tx_phase, rx_phase: node phases [B, n_tx, K'], [B, n_rx, K'], K' = 1 if all frequencies share a phase.
        phase_std: standard deviations of Tx and Rx phases [B, n_tx], [B, n_rx], see `Estimate`.
        reference: channel without phases, line of sight included, complex [B, n_tx, n_rx, K].
        pixel_probability: [B, N].
        finite: see `Estimate`.
        history: in the units of the CSI.
        noise: noise variance estimated from the residual [B]; by default the mean power of the residual.
        misfit: scenes whose residual exceeds the noise, bool [B]; there, `noise` can raise the noise variance. By
            default the given noise variance is reported.
    """
    prediction = reference * link_phasor(tx_phase, rx_phase).conj() * problem.link
    residual = problem.mean_power(problem.csi - prediction)
    shown = residual if noise is None else noise
    if problem.noise_variance is not None:
        raised = torch.maximum(shown, problem.noise_variance)
        shown = problem.noise_variance if misfit is None else torch.where(misfit, raised, problem.noise_variance)
    power, n_frequencies = problem.unit.square(), problem.csi.shape[-1]
    tx_phase, rx_phase = relative_to_reference(tx_phase, rx_phase, problem.link[..., 0] > 0)
    tx_without_los, rx_without_los = problem.without_los
    return Estimate(
        scatterers=scatterers,
        tx_phase=tx_phase.expand(-1, -1, n_frequencies),
        rx_phase=rx_phase.expand(-1, -1, n_frequencies),
        tx_phase_std=phase_std[0],
        rx_phase_std=phase_std[1],
        pixel_probability=pixel_probability,
        noise_variance=shown * power,
        prediction=prediction * problem.unit[:, None, None, None],
        residual=residual * power,
        tx_without_los=tx_without_los,
        rx_without_los=rx_without_los,
        finite=finite,
        history=history,
    )


def from_model(
    model: Model,
    problem: Problem,
    margin: float,
    dtype: torch.dtype,
    decide: Callable[[Model, Problem, Uncertainty], Tensor] | None = None,
) -> Estimate:
    """The estimate of a model, with the uncertainty of the joint likelihood.

    Args:
        model: in double precision, corrections refitted.
        problem: geometry, CSI and units.
        margin: number of standard deviations by which a residual consistent with the noise may exceed it.
        dtype: real precision of the estimate.
        decide: probability that a source is a scatterer [B, S], from model, problem and uncertainty; by default
            `presence` of its echoes.

    Warns:
        MismatchWarning: if the model does not fit the CSI; uncertainties then use the jackknife noise of the nodes.
    """
    # if the noise variance is unknown, the residual gives it
    noise = model_selection.noise_power(model, problem)
    ratio = torch.ones_like(noise) if problem.noise_variance is None else noise / problem.noise_variance
    misfit = (ratio > 1) & ~model_selection.consistent(model, problem, margin)
    diagnosis.warn_of_mismatch(model, ratio, misfit)
    of_nodes = torch.zeros_like(model.sources.position[..., 0])
    scenes = (model.correction.extended | misfit).nonzero()[:, 0]
    if len(scenes) > 0:
        of_nodes = of_nodes.index_copy(0, scenes, diagnosis.node_noise(model[scenes], problem[scenes]))
    alone = noise if problem.noise_variance is None else torch.where(misfit, noise, problem.noise_variance)
    level = torch.maximum(alone[:, None], of_nodes)
    known = uncertainty(model, problem)
    if decide is None:
        power = model_selection.strength(model, problem)
        probability = presence(power / level, problem.grid.centre.shape[1])
    else:
        probability = decide(model, problem, known)

    found = [_listed(model, problem, known, level, probability.to(level), scene) for scene in range(len(level))]
    pixels = [pixel_presence(one.position, one.probability, problem.grid.centre[i]) for i, one in enumerate(found)]
    scatterers = [_by_strength(one, dtype) for one in found]
    sources = model.sources
    residual = (model.cost / problem.n_samples * problem.unit.square())[:, None].to(dtype)
    # a phase that the CSI does not determine has an infinite deviation, even without noise
    tx_std, rx_std = (
        (variance * noise[:, None]).nan_to_num(nan=torch.inf, posinf=torch.inf).sqrt()
        for variance in (known.tx_phase, known.rx_phase)
    )
    return from_parts(
        problem.to(dtype=dtype),
        scatterers,
        *(sources.tx_phase[..., None].to(dtype), sources.rx_phase[..., None].to(dtype)),
        phase_std=(tx_std.to(dtype), rx_std.to(dtype)),
        reference=model.channel.to(dtype.to_complex()),
        pixel_probability=torch.stack(pixels).to(dtype),
        finite=torch.isfinite(model.cost),
        history=History(residual, torch.zeros_like(residual), sources.used.sum(1)[:, None]),
        noise=noise.to(dtype),
        misfit=misfit,
    )


def _listed(
    model: Model, problem: Problem, known: Uncertainty, level: Tensor, probability: Tensor, scene: int
) -> Scatterers:
    """The sources of a scene in the units of the CSI; `level` is the noise variance for each source [B, S]."""
    sources = model.sources
    used = sources.used[scene]
    return Scatterers(
        position=sources.position[scene, used],
        covariance=(known.position * level[..., None, None])[scene, used],
        reflectivity=sources.reflectivity[scene, used] * problem.reflectivity_scale[scene],
        probability=probability[scene, used],
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
        if field.name not in ("scatterers", "history")
    }
    return Estimate(
        scatterers=[scatterers for estimate in estimates for scatterers in estimate.scatterers],
        history=concatenate([estimate.history.map(lengthened) for estimate in estimates]),
        **joined,
    )
