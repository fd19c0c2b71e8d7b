"""Assemble the estimate, in the units of the CSI, from the results of an estimator in problem units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from unfolded_ogamp.imaging import moments
from unfolded_ogamp.imaging.assembly.ambiguity import split
from unfolded_ogamp.imaging.assembly.certainty import (
    certainty,
    mixed,
    noise_level,
    pixel_presence,
    presence,
    strongest,
    within,
)
from unfolded_ogamp.imaging.assembly.outcome import Outcome, listing_sentences, sentences, warn
from unfolded_ogamp.imaging.estimate import Estimate, History, NodeEstimate, Scatterers
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty, uncertainty
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import link_phasor, relative_to_reference
from unfolded_ogamp.records import concatenate

LISTS = ("scatterers", "outside", "diagnosis")  # of an estimate, one entry per scene
GATE = 0.1  # largest error of the position of a found scatterer, in carrier wavelengths
VAGUE = 0.5  # probability of an error within the gate below which a scatterer counts as not located


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
) -> Estimate:
    """The estimate in the units of the CSI, without echoes from outside the region and without a diagnosis.

    A scene has converged if its residual is at most the noise plus four standard deviations, and the scatterers have at
    most a third as many unknowns as there are samples.

    Args:
        problem: geometry, CSI and units.
        scatterers: of every scene, in the units of the CSI.
        tx_phase, rx_phase: node phases [B, n_tx, K'], [B, n_rx, K'], K' = 1 if all frequencies share a phase.
        phase_std: standard deviations of Tx and Rx phases [B, n_tx], [B, n_rx], see `Estimate`.
        reference: channel without phases, line of sight included, complex [B, n_tx, n_rx, K].
        pixel_probability: [B, N].
        finite: see `Estimate`.
        history: in the units of the CSI.
    """
    prediction = reference * link_phasor(tx_phase, rx_phase).conj() * (problem.link > 0)
    residual = problem.mean_power(problem.unweighted.csi - prediction)
    counts = torch.tensor([len(one.position) for one in scatterers], device=residual.device)
    few = counts * (problem.grid.centre.shape[-1] + 2) <= model_selection.FEW_UNKNOWNS * problem.n_samples
    limit = (1 + model_selection.MARGIN * problem.n_samples.rsqrt()) * problem.noise_variance
    unit, n_frequencies = problem.unit.square(), problem.csi.shape[-1]
    tx_phase, rx_phase = relative_to_reference(tx_phase, rx_phase, problem.link[..., 0] > 0)
    tx_without_los, rx_without_los = problem.without_los
    return Estimate(
        scatterers=scatterers,
        outside=[one[:0] for one in scatterers],
        tx_phase=tx_phase.expand(-1, -1, n_frequencies),
        rx_phase=rx_phase.expand(-1, -1, n_frequencies),
        tx_phase_std=phase_std[0],
        rx_phase_std=phase_std[1],
        nodes=NodeEstimate.as_listed(problem.array, problem.link[..., 0].square()),
        pixel_probability=pixel_probability,
        noise_variance=torch.maximum(residual, problem.noise_variance) * unit,
        noise_std=problem.noise_std * unit,
        prediction=prediction * problem.unit[:, None, None, None],
        residual=residual * unit,
        tx_without_los=tx_without_los,
        rx_without_los=rx_without_los,
        converged=(residual <= limit) & few,
        diagnosis=[()] * len(residual),
        finite=finite,
        history=history,
    )


def from_model(
    model: Model,
    problem: Problem,
    outcome: Outcome,
    dtype: torch.dtype,
    known: Uncertainty | None = None,
    decide: Callable[[Model, Problem, Uncertainty], Tensor] | None = None,
) -> Estimate:
    """The estimate of a model, with the uncertainty of the joint likelihood.

    Args:
        model: in double precision.
        problem: geometry, CSI and units.
        outcome: of the search that found the model; its support has the slots of the model.
        dtype: real precision of the estimate.
        known: variances of the unknowns; those of the joint likelihood at the noise of the fit by default.
        decide: probability that a source is a scatterer [B, S], from model, problem and uncertainty; by default
            `presence` of its echoes.

    Warns:
        MismatchWarning: if the model does not explain the CSI.
    """
    noise = noise_level(model, problem, outcome)
    known = uncertainty(model, problem).times(noise) if known is None else known
    share, exact = certainty(model, problem, outcome), known.position
    located = within(exact, GATE * problem.array.wavelength)
    if decide is None:
        probability = presence(model_selection.strength(model, problem) / noise[:, None], problem.grid.centre.shape[1])
    else:
        probability = decide(model, problem, known.over(noise)).to(noise)
    probability, covariance = probability * share * located, mixed(exact, share, model, problem, outcome)
    listed = strongest(model, problem, outcome)
    vague = (listed & (located < VAGUE) & outcome.converged[:, None]).sum(1).tolist()

    extent = moments.extent(model.sources.moment, model.sources.position, problem.array.wavelength)
    scatterers, outside, found = [], [], sentences(model, problem, outcome)
    for scene, used in enumerate(listed):
        every = Scatterers(
            position=model.sources.position[scene, used],
            covariance=covariance[scene, used],
            reflectivity=model.sources.reflectivity[scene, used] * problem.reflectivity_scale[scene],
            probability=probability[scene, used],
            extent=extent[scene, used],
        )
        around = problem[scene : scene + 1]
        region, beyond, ambiguous = split(_by_strength(every), around.array, around.grid)
        scatterers.append(region.to(dtype))
        outside.append(beyond.to(dtype))
        found[scene] += listing_sentences(vague[scene], len(beyond.position), ambiguous)
    warn(found)
    centres = problem.grid.centre.to(dtype)
    pixels = [pixel_presence(one.position, one.probability, centres[i]) for i, one in enumerate(scatterers)]
    residual = (model.cost / problem.n_samples * problem.unit.square())[:, None].to(dtype)
    # a phase that the CSI does not determine has an infinite deviation, even without noise
    tx_std, rx_std = (
        torch.where(
            outcome.trapped[:, None],
            torch.inf,
            variance.nan_to_num(nan=torch.inf, posinf=torch.inf).sqrt(),
        )
        for variance in (known.tx_phase, known.rx_phase)
    )
    sources = model.sources
    estimate = from_parts(
        problem.to(dtype=dtype),
        scatterers,
        *(sources.tx_phase[..., None].to(dtype), sources.rx_phase[..., None].to(dtype)),
        phase_std=(tx_std.to(dtype), rx_std.to(dtype)),
        reference=(model.channel / torch.where(problem.link > 0, problem.link, 1)).to(dtype.to_complex()),
        pixel_probability=torch.stack(pixels),
        finite=torch.isfinite(model.cost),
        history=History(residual, torch.zeros_like(residual), sources.used.sum(1)[:, None]),
    )
    variance = (noise * problem.unit.square()).to(dtype)
    return replace(
        estimate,
        outside=outside,
        nodes=_nodes(model, problem, known).to(dtype=dtype),
        noise_variance=variance,
        converged=outcome.converged,
        diagnosis=found,
    )


def _nodes(model: Model, problem: Problem, known: Uncertainty) -> NodeEstimate:
    """The nodes of a model."""
    array, nodes = problem.array, model.sources.nodes
    listed = NodeEstimate.as_listed(array, problem.link[..., 0].square())
    return replace(
        listed,
        tx_position=array.tx + nodes.tx_shift,
        rx_position=array.rx + nodes.rx_shift,
        tx_position_std=known.tx_shift.sqrt(),
        rx_position_std=known.rx_shift.sqrt(),
        tx_gain=nodes.tx_level.exp(),
        rx_gain=nodes.rx_level.exp(),
        tx_gain_std=known.tx_level.sqrt(),
        rx_gain_std=known.rx_level.sqrt(),
    )


def _by_strength(found: Scatterers) -> Scatterers:
    """The scatterers in descending order of amplitude."""
    return found[found.reflectivity.abs().argsort(descending=True, stable=True)]


def join(entries: list[History]) -> History:
    """Concatenate entries [B, 1] to one history, in order."""
    return History(
        residual=torch.cat([entry.residual for entry in entries], dim=1),
        change=torch.cat([entry.change for entry in entries], dim=1),
        active=torch.cat([entry.active for entry in entries], dim=1),
    )


def batched(estimates: Sequence[Estimate]) -> Estimate:
    """Concatenate estimates to one batch, in order; shorter histories repeat their last entry."""
    length = max(estimate.history.residual.shape[1] for estimate in estimates)

    def lengthened(entry: Tensor) -> Tensor:
        return torch.cat([entry, entry[:, -1:].expand(-1, length - entry.shape[1])], dim=1)

    joined: dict[str, Any] = {
        field.name: torch.cat([getattr(estimate, field.name) for estimate in estimates])
        for field in fields(Estimate)
        if field.name not in (*LISTS, "history", "nodes")
    }
    joined |= {name: [entry for estimate in estimates for entry in getattr(estimate, name)] for name in LISTS}
    return Estimate(
        history=concatenate([estimate.history.map(lengthened) for estimate in estimates]),
        nodes=concatenate([estimate.nodes for estimate in estimates]),
        **joined,
    )
