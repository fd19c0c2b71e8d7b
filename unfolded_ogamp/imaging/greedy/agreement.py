"""Agreement of two starts: the same scatterers, but for negligible ones."""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import distances

SAME_PLACE = 0.05  # largest distance of two equal scatterers of two starts, in wavelengths
NEGLIGIBLE = 0.01  # share of the scattered power on which two equal starts may differ


def agree(first: Model, second: Model, problem: Problem) -> Tensor:
    """Scenes in which two starts found the same scatterers, except negligible ones, and at least one; bool [B]."""
    distance = distances(first.sources.position, second.sources.position)
    both = first.sources.used[:, :, None] & second.sources.used[:, None]
    near = both & (distance < SAME_PLACE * problem.array.wavelength[:, None, None])
    same = first.sources.used.any(1)
    for model, matched in ((first, near.any(2)), (second, near.any(1))):
        echo = torch.where(model.sources.used, model_selection.strength(model, problem), 0)
        same = same & ((echo * ~matched).sum(1) <= NEGLIGIBLE * echo.sum(1))
    return same
