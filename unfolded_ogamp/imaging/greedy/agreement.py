"""Agreement of two starts: the same scatterers, but for negligible ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import distances

SAME_PLACE = 0.05  # largest distance of two equal scatterers of two starts, in wavelengths
NEAR = 0.1  # distance within which another start confirms a source, in wavelengths
NEGLIGIBLE = 0.01  # share of the scattered power on which two equal starts may differ


def support(model: Model, problem: Problem, starts: Sequence[tuple[Tensor, Sources]]) -> Tensor:
    """Share of the starts but one that found a source of the model, too [B, S].

    One start more counts as a failure, so that the share stays below one.

    Args:
        model: one of the starts found it.
        problem: geometry.
        starts: indices of scenes, and the sources that a start found there.
    """
    count = torch.zeros_like(model.sources.position[..., 0])
    total = torch.zeros_like(problem.grid.pixel)
    radius = NEAR * problem.array.wavelength
    for scenes, sources in starts:
        distance = distances(model.sources.position[scenes], sources.position)
        near = (distance < radius[scenes, None, None]) & sources.used[:, None]
        count = count.index_add(0, scenes, near.any(2).to(count))
        total = total.index_add(0, scenes, torch.ones_like(scenes).to(total))
    return ((count - 1) / total[:, None]).clamp(min=0)


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
