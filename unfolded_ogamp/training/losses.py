"""What training minimises: errors of phase, position and detection after every block, on logarithmic scales.

A logarithm lets a scene that is already good, and one that is not yet, pull with the same strength, down to a floor
below which nothing is gained; that is what teaches the last blocks to end the crawl of alternation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from unfolded_ogamp.estimators.alternating import AlternatingState
from unfolded_ogamp.estimators.off_grid_gamp import estimated_shift
from unfolded_ogamp.physics import Scene, link_phase, link_phase_error


@dataclass(frozen=True)
class LossSettings:
    """Weights and scales of the loss.

    Attributes:
        growth: factor by which the weight of a block grows from one to the next.
        phase, position, detection: weights of the three errors.
        phase_floor: link phase error below which nothing is gained, [rad].
        position_floor: position error below which nothing is gained, in wavelengths.
        gate: an estimate within this of a scatterer is one of it, in wavelengths.
    """

    growth: float = 1.3
    phase: float = 1.0
    position: float = 1.0
    detection: float = 1.0
    phase_floor: float = 5e-3
    position_floor: float = 1e-3
    gate: float = 0.1

    def __post_init__(self) -> None:
        for name in ("growth", "phase_floor", "position_floor", "gate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("phase", "position", "detection"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class BlockErrors:
    """Losses of the state after one block, one per scene [B]."""

    phase: Tensor
    position: Tensor
    detection: Tensor


def log_error(mean_square: Tensor, floor: float | Tensor) -> Tensor:
    """Half the logarithm of a mean square over its floor: 0 at none, 1 per factor e of the root mean square."""
    return 0.5 * torch.log1p(mean_square / floor**2)


def phase_loss(state: AlternatingState, scene: Scene, settings: LossSettings) -> Tensor:
    """Logarithmic link phase error [B] after the gauge is removed."""
    estimated = link_phase(state.phases.tx, state.phases.rx).expand(-1, -1, -1, scene.tx_phase.shape[-1])
    error = link_phase_error(estimated, link_phase(scene.tx_phase, scene.rx_phase), scene.link)
    count = scene.link.sum((1, 2)) * error.shape[-1]
    return log_error(error.square().sum((1, 2, 3)) / count, settings.phase_floor)


def image_losses(state: AlternatingState, scene: Scene, settings: LossSettings) -> tuple[Tensor, Tensor]:
    """Logarithmic position error and detection loss [B].

    A scatterer is estimated where the pixels within the gate around it say, weighed by probability and amplitude, so
    that two pixels may share one. Detection asks of the likeliest of these pixels, or where there is none of the
    nearest pixel, to be active, and of every pixel near no scatterer not to be. Its logarithm of a log-likelihood
    keeps a pixel that is wrong and sure of it from drowning all others.
    """
    posterior = state.imaging.messages.posterior
    log_odds, amplitude = posterior.log_odds[:, 0], posterior.active_mean[:, 0].abs()
    limit = scene.grid.pixel[:, None, None]
    shift = torch.maximum(torch.minimum(estimated_shift(state.imaging), limit), -limit)
    position = scene.grid.centre + state.imaging.offset + shift
    squared = (scene.position[:, :, None] - position[:, None]).square().sum(-1)
    gate = settings.gate * scene.array.wavelength
    near = squared.detach() < gate.square()[:, None, None]

    weight = near * (log_odds.sigmoid() * amplitude)[:, None]
    mass = weight.sum(-1, keepdim=True)
    mean = (weight / (mass + 1e-6)) @ position
    error = (mean - scene.position).square().sum(-1)
    seen = (mass[..., 0] > 0.1).to(error)
    floor = settings.position_floor * scene.array.wavelength[:, None]
    position_loss = (seen * log_error(error, floor)).sum(-1) / seen.sum(-1).clamp(min=1.0)

    nearest = torch.zeros_like(near).scatter(-1, squared.argmin(-1, keepdim=True), True)
    candidates = torch.where(near.any(-1, keepdim=True), near, nearest)
    best = torch.where(candidates, log_odds[:, None], -torch.inf).amax(-1)
    missed = torch.log1p(softplus(-best)).sum(-1)
    false = (torch.log1p(softplus(log_odds)) * ~near.any(1)).sum(-1)
    return position_loss, (missed + false) / scene.position.shape[1]


def block_errors(state: AlternatingState, scene: Scene, settings: LossSettings) -> BlockErrors:
    """All losses of the state after one block."""
    position, detection = image_losses(state, scene, settings)
    return BlockErrors(phase_loss(state, scene, settings), position, detection)


def total_loss(blocks: Sequence[BlockErrors], settings: LossSettings) -> Tensor:
    """Weighted mean of the losses [B] over blocks, later blocks weighing more: a loss per scene [B]."""
    weights = [settings.growth**index for index in range(len(blocks))]
    terms = [
        weight * (settings.phase * b.phase + settings.position * b.position + settings.detection * b.detection)
        for weight, b in zip(weights, blocks, strict=True)
    ]
    return torch.stack(terms).sum(0) / sum(weights)
