"""The loss: errors of phase, position and detection after every block, and errors at the end.

Errors are logarithmic, so that scenes with small and large errors have similar weight. The errors at the end are
relative to the joint Cramer-Rao bound of each scene, below which the loss does not reward an improvement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.greedy.start_phases import focused_phases
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp.iteration import estimated_shift
from unfolded_ogamp.imaging.ogamp.screening import ScreenedState
from unfolded_ogamp.physics import Csi, Scene, distances, link_phase, link_phase_error
from unfolded_ogamp.settings import Settings, not_negative, positive


@dataclass(frozen=True)
class LossSettings(Settings):
    """Weights and scales of the loss.

    Attributes:
        growth: ratio of the weights of successive blocks.
        phase, position, detection: weights of the three errors after the imaging blocks.
        false_alarm: weight of a false detection relative to a missed one; later stages can still remove it.
        refinement, competition: weights of the errors over the bound, and of the decisions of the competition.
        phase_floor: link phase error below which the loss of a block is flat, [rad].
        position_floor: position error below which the loss of a block is flat, in wavelengths.
        gate: largest distance of an estimate from its scatterer, in wavelengths.
        saturation: scale at which the loss of a scene saturates. Otherwise starts in a local minimum dominate, whose
            loss is lowest with no detection at all.
    """

    growth: Annotated[float, positive] = 1.6
    phase: Annotated[float, not_negative] = 1.0
    position: Annotated[float, not_negative] = 1.0
    detection: Annotated[float, not_negative] = 2.0
    false_alarm: Annotated[float, not_negative] = 0.2
    refinement: Annotated[float, not_negative] = 1.0
    competition: Annotated[float, not_negative] = 1.0
    phase_floor: Annotated[float, positive] = 0.05
    position_floor: Annotated[float, positive] = 0.02
    gate: Annotated[float, positive] = 0.1
    saturation: Annotated[float, positive] = 3.0


@dataclass(frozen=True)
class BlockErrors:
    """Losses of the state after one block, one per scene [B]."""

    phase: Tensor
    position: Tensor
    detection: Tensor


def log_error(mean_square: Tensor, floor: float | Tensor) -> Tensor:
    """Half the logarithm of 1 + mean_square / floor^2: 0 without error, and 1 more per factor e of the rms error."""
    return 0.5 * torch.log1p(mean_square / floor**2)


def phase_loss(tx_phase: Tensor, rx_phase: Tensor, scene: Scene, floor: float | Tensor) -> Tensor:
    """Logarithmic link phase error [B] of node phases [B, n, 1], gauge removed; `floor` in [rad]."""
    estimated = link_phase(tx_phase, rx_phase).expand(-1, -1, -1, scene.tx_phase.shape[-1])
    error = link_phase_error(estimated, link_phase(scene.tx_phase, scene.rx_phase), scene.link)
    count = scene.link.sum((1, 2)) * error.shape[-1]
    return log_error(error.square().sum((1, 2, 3)) / count, floor)


def image_losses(state: ScreenedState, scene: Scene, settings: LossSettings) -> tuple[Tensor, Tensor]:
    """Logarithmic position error and detection loss [B].

    The estimate of a scatterer is the mean of the candidates within its gate, weighted by probability and amplitude, so
    that two candidates may share a scatterer. The detection loss asks that the most probable of them (without one, the
    nearest candidate) is active, and that candidates outside all gates are inactive. The logarithm of the
    log-likelihood limits the influence of confident errors.
    """
    posterior = state.imaging.messages.posterior
    log_odds, amplitude = posterior.log_odds[:, 0], posterior.active_mean[:, 0].abs()
    limit = state.candidates.pixel[:, None, None]
    shift = torch.maximum(torch.minimum(estimated_shift(state.imaging), limit), -limit)
    position = state.position + shift
    squared = (scene.position[:, :, None] - position[:, None]).square().sum(-1)
    gate = settings.gate * scene.array.wavelength
    near = squared.detach() < gate.square()[:, None, None]

    weight = near * (log_odds.sigmoid() * amplitude)[:, None]
    mass = weight.sum(-1, keepdim=True)
    mean = (weight / (mass + 1e-6)) @ position
    error = (mean - scene.position).square().sum(-1)
    found = (mass[..., 0] > 0.1).to(error)
    floor = settings.position_floor * scene.array.wavelength[:, None]
    position_loss = (found * log_error(error, floor)).sum(-1) / found.sum(-1).clamp(min=1.0)

    nearest = torch.zeros_like(near).scatter(-1, squared.argmin(-1, keepdim=True), True)
    candidates = torch.where(near.any(-1, keepdim=True), near, nearest)
    best = torch.where(candidates, log_odds[:, None], -torch.inf).amax(-1)
    missed = torch.log1p(softplus(-best)).sum(-1)
    false = (torch.log1p(softplus(log_odds)) * ~near.any(1)).sum(-1)
    return position_loss, (missed + settings.false_alarm * false) / scene.position.shape[1]


def saturated(loss: Tensor, settings: LossSettings) -> Tensor:
    """The loss of a scene [B], bounded by the saturation; small losses hardly change."""
    return loss / (1 + loss / settings.saturation)


def block_errors(state: ScreenedState, scene: Scene, settings: LossSettings) -> BlockErrors:
    """All losses of the state after one block."""
    position, detection = image_losses(state, scene, settings)
    phases = state.phases
    return BlockErrors(phase_loss(phases.tx, phases.rx, scene, settings.phase_floor), position, detection)


def refinement_loss(model: Model, scene: Scene, settings: LossSettings) -> Tensor:
    """Logarithmic errors [B] over the joint bound: of the phases, and of the positions of found scatterers."""
    sources, bounds = model.sources, [joint_bound(scene, index) for index in range(len(scene.position))]
    phase_bound = scene.position.new_tensor([bound.phase_rms for bound in bounds])
    phase = phase_loss(sources.tx_phase[..., None], sources.rx_phase[..., None], scene, phase_bound)
    if sources.used.shape[1] == 0:  # no source in any scene
        return phase
    distance = torch.where(sources.used[:, None], distances(scene.position, sources.position.detach()), torch.inf)
    nearest = distance.argmin(2)
    found = distance.amin(2) < settings.gate * scene.array.wavelength[:, None]
    position = sources.position.gather(1, nearest[..., None].expand(-1, -1, scene.position.shape[2]))
    error = torch.where(found, (position - scene.position).square().sum(-1), 0)
    position_bound = torch.stack([bound.position_std.norm(dim=1) for bound in bounds]).to(error)
    return (found * log_error(error, position_bound)).sum(1) / found.sum(1).clamp(min=1) + phase


def competition_loss(log_odds: Tensor, model: Model, scene: Scene, settings: LossSettings) -> Tensor:
    """Mean cross-entropy [B] of log-odds [B, S]; a source is true if it is nearest to a scatterer, within the gate."""
    sources = model.sources
    if sources.used.shape[1] == 0:
        return log_odds.sum(1)
    distance = distances(scene.position, sources.position.detach()) / scene.array.wavelength[:, None, None]
    distance = torch.where(sources.used[:, None], distance, torch.inf)
    best = (distance <= distance.amin(2, keepdim=True)) & (distance < settings.gate)
    label = best.any(1).to(log_odds)
    error = binary_cross_entropy_with_logits(log_odds, label, reduction="none") * sources.used
    return error.sum(1) / sources.used.sum(1).clamp(min=1)


def total_loss(blocks: Sequence[BlockErrors], settings: LossSettings) -> Tensor:
    """Weighted mean of the losses over blocks, with more weight on later blocks: a loss per scene [B]."""
    weights = [settings.growth**index for index in range(len(blocks))]
    terms = [
        weight * (settings.phase * b.phase + settings.position * b.position + settings.detection * b.detection)
        for weight, b in zip(weights, blocks, strict=True)
    ]
    return torch.stack(terms).sum(0) / sum(weights)


def batch_loss(
    network: UnfoldedOGAMP, scene: Scene, csi: Csi, settings: LossSettings, batch: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss averaged over the scenes of a batch, and its parts.

    Batches of odd number start from autofocused phases and use all blocks, like the second start of a scene; those of
    even number start from the given phases and end at the first exit.
    """
    restart = network.settings.greedy.restarts
    posed = network.pose(csi, scene.array, scene.grid)
    problem, search_grid, phases = posed.problem, posed.search_grid, posed.phases
    focused = batch % 2 == 1
    if focused:
        phases = focused_phases(problem, phases, restart)
    states = list(network.states(problem, search_grid, phases))
    blocks = [block_errors(state, scene, settings) for state in states]
    last = states[-1] if focused else states[network.settings.first_exit - 1]
    refined = network.refinement(last, problem, search_grid).model
    refinement = refinement_loss(refined, scene, settings)
    log_odds = network.log_odds(refined, problem)
    competition = competition_loss(log_odds, refined, scene, settings)
    # sources of a start in a local minimum have no correct label; such scenes restart
    competition = competition * model_selection.consistent(refined, problem)
    loss = total_loss(blocks, settings) + settings.refinement * refinement + settings.competition * competition
    parts = {"refinement": refinement, "competition": competition}
    parts |= {name: getattr(blocks[-1], name) for name in ("phase", "position", "detection")}
    return saturated(loss, settings).mean(), {name: value.detach().nanmean() for name, value in parts.items()}
