"""From what an estimator has found, in problem units, to the estimate that it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from unfolded_ogamp.estimate import Estimate, History, Scatterers
from unfolded_ogamp.estimators.problem import Problem, phasor
from unfolded_ogamp.physics import relative_to_reference
from unfolded_ogamp.records import concatenate


def conclude(
    problem: Problem,
    scatterers: list[Scatterers],
    tx_phase: Tensor,
    rx_phase: Tensor,
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
        reference: channel without phases, line of sight included, complex [B, n_tx, n_rx, K].
        pixel_probability: [B, N].
        finite: see `Estimate`.
        history: in the units of the CSI.
        noise: variance of the noise that the residual shows [B], where the mean of the residual is not that.
        misfit: scenes in which the residual is not the noise alone: it then adds to the noise variance; bool [B].
    """
    prediction = reference * phasor(tx_phase, rx_phase).conj() * problem.link
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
        pixel_probability=pixel_probability,
        noise_variance=shown * power,
        prediction=prediction * problem.unit[:, None, None, None],
        residual=residual * power,
        tx_without_los=tx_without_los,
        rx_without_los=rx_without_los,
        finite=finite,
        history=history,
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
