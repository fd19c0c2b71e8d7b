"""From what an estimator has found, in problem units, to the estimate that it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from unfolded_ogamp.imaging.estimate import Estimate, History, Scatterers
from unfolded_ogamp.imaging.likelihood import model_selection, normal_equations
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import columns_of
from unfolded_ogamp.physics import link_phasor, relative_to_reference
from unfolded_ogamp.records import concatenate


def conclude(
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
        tx_phase, rx_phase: node phases [B, n_tx, K'], [B, n_rx, K'], K' = 1 where the frequencies share them.
        phase_std: standard deviations of Tx and Rx phases [B, n_tx], [B, n_rx], see `Estimate`.
        reference: channel without phases, line of sight included, complex [B, n_tx, n_rx, K].
        pixel_probability: [B, N].
        finite: see `Estimate`.
        history: in the units of the CSI.
        noise: variance of the noise that the residual shows [B], where the mean of the residual is not that.
        misfit: scenes in which the residual is not the noise alone: it then adds to the noise variance; bool [B].
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


def of_sources(
    state: JointState,
    problem: Problem,
    known: Uncertainty,
    level: Tensor,
    misfit: Tensor,
    probability: Tensor,
    dtype: torch.dtype,
) -> Estimate:
    """The estimate that sources stand for, with the uncertainty of the joint likelihood.

    Args:
        state: sources and their cost, in double precision.
        problem: geometry, CSI and units.
        known: what the curvature says of the sources.
        level: noise variance that counts for every source [B, S].
        misfit: scenes in which the residual is not the noise alone, bool [B].
        probability: that a source is a scatterer [B, S].
        dtype: real precision of the estimate.
    """
    sources = state.sources
    noise = model_selection.noise_power(state.cost, sources, problem)
    covariance = known.position * level[..., None, None]
    probability = probability.to(level)
    scatterers, pixels = [], []
    for scene, used in enumerate(sources.used):
        found = Scatterers(
            position=sources.position[scene, used],
            covariance=covariance[scene, used],
            reflectivity=sources.reflectivity[scene, used] * problem.reflectivity_scale[scene],
            probability=probability[scene, used],
        )
        pixels.append(pixel_presence(found.position, found.probability, problem.grid.centre[scene]))
        order = (found.reflectivity.abs() * found.probability).argsort(descending=True)
        scatterers.append(
            Scatterers(
                position=found.position[order].to(dtype),
                covariance=found.covariance[order].to(dtype),
                reflectivity=found.reflectivity[order].to(dtype.to_complex()),
                probability=found.probability[order].to(dtype),
            )
        )
    residual = (state.cost / problem.n_samples * problem.unit.square())[:, None].to(dtype)
    # what is not told at all stays so without any noise
    tx_std, rx_std = (
        (variance * noise[:, None]).nan_to_num(nan=torch.inf, posinf=torch.inf).sqrt()
        for variance in (known.tx_phase, known.rx_phase)
    )
    channel = normal_equations.residual(sources, problem, columns_of(sources, problem))[1]
    return conclude(
        problem.to(dtype=dtype),
        scatterers,
        *(sources.tx_phase[..., None].to(dtype), sources.rx_phase[..., None].to(dtype)),
        phase_std=(tx_std.to(dtype), rx_std.to(dtype)),
        reference=channel.to(dtype.to_complex()),
        pixel_probability=torch.stack(pixels).to(dtype),
        finite=torch.isfinite(state.cost),
        history=History(residual, torch.zeros_like(residual), sources.used.sum(1)[:, None]),
        noise=noise.to(dtype),
        misfit=misfit,
    )


def join(entries: list[History]) -> History:
    """One history of entries [B, 1] in order."""
    return History(
        residual=torch.cat([entry.residual for entry in entries], dim=1),
        change=torch.cat([entry.change for entry in entries], dim=1),
        active=torch.cat([entry.active for entry in entries], dim=1),
    )


def presence(above_noise: Tensor, n_pixels: int) -> Tensor:
    """Probability of scatterers whose echoes have this power over the noise: that noise shows as much in no pixel.

    It is at least a half, for what an estimator has accepted.
    """
    return 1 - 0.5 * (n_pixels * torch.exp(-above_noise)).clamp(max=1.0)


def pixel_presence(position: Tensor, probability: Tensor, centre: Tensor) -> Tensor:
    """Largest probability in every pixel [N] of scatterers [S, D] with probabilities [S]; centres [N, D]."""
    nearest = torch.cdist(position, centre).argmin(1)
    return torch.zeros_like(centre[:, 0]).scatter_reduce(0, nearest, probability, "amax")


def batched(estimates: Sequence[Estimate]) -> Estimate:
    """One estimate of all scenes, in order; histories that ended earlier repeat their last entry."""
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
