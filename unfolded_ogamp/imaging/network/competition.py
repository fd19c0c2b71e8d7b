"""Competition: the probability that a source is a true scatterer, from its evidence and its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unfolded_ogamp.imaging.greedy import pruning
from unfolded_ogamp.imaging.greedy.pruning import Evidence
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.network.layers import bounded
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import distances

REACH = 2.0  # largest distance of competing sources, in wavelengths
LARGEST_LOG_ODDS = 10.0  # limit of the log-odds of the criterion
MOST = 1e9  # limit of the evidence, in units of the noise variance
LARGEST_CORRECTION = 3.0  # limit of the learned log-odds; beyond it the criterion decides alone


class Competition(nn.Module):
    """Log-odds that a source is a true scatterer: an information criterion plus a learned correction.

    The inputs of the correction are the evidence for a source and, summed over the sources within two wavelengths,
    their distances and relative strengths. It is invariant to positions and order of the sources, and works for any
    number of them, in the plane and in space. Before training it is zero.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.neighbour = nn.Sequential(nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width))
        self.decide = nn.Sequential(nn.Linear(4 + width, width), nn.SiLU(), nn.Linear(width, 1))
        last = self.decide[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, model: Model, problem: Problem, found: Evidence) -> Tensor:
        """Log-odds [B, S]; those of unused slots are meaningless."""
        prior = bounded(pruning.log_odds(found, model, problem), LARGEST_LOG_ODDS)
        return prior + bounded(self.correction(model, problem, found, prior), LARGEST_CORRECTION)

    def correction(self, model: Model, problem: Problem, found: Evidence, prior: Tensor) -> Tensor:
        """The learned part of the log-odds [B, S]."""
        used, position = model.sources.used, model.sources.position.detach()
        alone, beside = (0.1 * torch.log1p(power.clamp(max=MOST)) for power in (found.alone, found.beside_others))
        distance = distances(position, position) / problem.array.wavelength[:, None, None]
        level = torch.log1p(found.alone)
        stronger = level[:, None] - level[:, :, None]
        pair = torch.stack(
            [distance / REACH, (-(4 * distance).square()).exp(), stronger, beside[:, None].expand_as(distance)], dim=-1
        )
        compete = used[:, :, None] & used[:, None] & (distance < REACH)
        compete = compete & ~torch.eye(used.shape[1], dtype=torch.bool, device=used.device)
        weights = next(self.parameters()).dtype
        message = (self.neighbour(pair.to(weights)) * compete[..., None]).sum(2)
        own = torch.stack([alone, beside, torch.log(found.spread.clamp(max=REACH) + 1e-3), 0.1 * prior], dim=-1)
        return self.decide(torch.cat([own.to(weights), message], dim=-1))[..., 0].to(prior.dtype)
