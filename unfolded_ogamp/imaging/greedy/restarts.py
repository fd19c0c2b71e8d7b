"""Restarts: if the residual of a scene exceeds the noise, start again from other node phases; keep the best start."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from unfolded_ogamp.imaging.assembly.outcome import Outcome
from unfolded_ogamp.imaging.greedy.rounds import GreedyState, place_scenes, with_equal_slots
from unfolded_ogamp.imaging.greedy.settings import RestartSettings
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Correction, Model
from unfolded_ogamp.imaging.phases import autofocus
from unfolded_ogamp.imaging.phases.refinement import NodePhases, initial_phases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import distances, isolated_nodes, link_phase, link_phase_error
from unfolded_ogamp.records import choose

MANY_SAMPLES = 400  # independent samples; with fewer, local minima are frequent
MOSTLY_EXPLAINED = 0.8  # share of the scattered power; fits that explain less are often local minima
STARTS_IF_DOUBTFUL = 12  # least number of starts before such a scene counts as agreed
COMPARABLE = 2.0  # largest residual of a start over that of the best one if the two compete
NEAR_FITTED = 0.1  # share of a turn by which a start deviates from phases that fit a line of sight
SAME_PLACE = 0.05  # largest distance of two equal scatterers of two starts, in wavelengths
STARTS_IF_EXTENDED = 6  # with extended targets the residual stays above the noise, and more starts cost time only
NEAR = 0.1  # distance within which another start confirms a source, in wavelengths
NEGLIGIBLE = 0.01  # share of the scattered power on which two equal starts may differ

Run = Callable[[Problem, SearchGrid, NodePhases, Correction], GreedyState]
Second = Callable[[Tensor], tuple[NodePhases, Tensor]]


@dataclass
class Searched:
    """The best start of every scene so far, and all starts that led to it.

    Attributes:
        best: the best start of every scene.
        agreements: number of starts that agree with the best one and are independent of it, int64 [B].
        independent: number of starts that are independent of the best one, int64 [B].
        starts: number of starts of every scene, int64 [B].
        others: indices of scenes and the sources that a start found there, for all starts.
    """

    best: GreedyState
    agreements: Tensor
    independent: Tensor
    starts: Tensor
    others: list[tuple[Tensor, Sources]]

    @classmethod
    def of(cls, first: GreedyState, problem: Problem) -> Self:
        """A search after its first start."""
        scenes = torch.arange(len(problem.csi), device=problem.csi.device)
        none, once = torch.zeros_like(scenes), torch.ones_like(scenes)
        return cls(first, none, none, once, [(scenes, first.model.sources)])

    def agreed(self, problem: Problem) -> Tensor:
        """Scenes in which independent starts agree, bool [B]: at least two, and a third of all.

        Two of a few starts can end in one local minimum if samples are few, or if the fit leaves much of the scattered
        power; more starts are made there.
        """
        good = model_selection.explained(self.best.model, problem) >= MOSTLY_EXPLAINED
        enough = (self.starts >= STARTS_IF_DOUBTFUL) | ((problem.n_samples >= MANY_SAMPLES) & good)
        return enough & (self.agreements >= 2) & (3 * self.agreements >= self.independent)

    def confirmed(self, problem: Problem) -> Tensor:
        """Scenes with a consistent residual in which no echo can hide, or which another start confirms; bool [B]."""
        model = self.best.model
        sure = model_selection.decisive(model, problem) | (self.agreements >= 1) | problem.phases_known
        return model_selection.consistent(model, problem) & sure

    def continued(self, best: GreedyState) -> Self:
        """The same search in double precision, its best starts evaluated again as `best`."""
        others = [(scenes, sources.to(dtype=torch.float64)) for scenes, sources in self.others]
        return replace(self, best=best, others=others)

    def left(self, problem: Problem) -> Tensor:
        """Indices of the scenes that need further starts."""
        extended = self.best.model.correction.extended & (self.starts >= STARTS_IF_EXTENDED)
        ended = problem.phases_known | extended  # with known phases, another start is the same
        return (~ended & ~self.agreed(problem) & ~self.confirmed(problem)).nonzero()[:, 0]

    def add(self, ended: GreedyState, scenes: Tensor, independent: Tensor, problem: Problem) -> None:
        """Add starts of the scenes with the indices `scenes` [B'], independent of the best ones or not, bool [B']."""
        self.best, same, replaced = better(self.best, ended, scenes, problem)
        # starts that agreed with the former best one do not agree with another one
        kept = torch.where(replaced & ~same, 0, self.agreements)
        self.agreements = kept.index_add(0, scenes, (same[scenes] & independent).to(kept))
        # a start that ended with a much larger residual failed, and says nothing about the best one
        comparable = ended.model.cost <= COMPARABLE * self.best.model.cost[scenes]
        self.independent = self.independent.index_add(0, scenes, (independent & comparable).to(kept))
        self.starts = self.starts.index_add(0, scenes, torch.ones_like(scenes))
        self.others.append((scenes, ended.model.sources))

    def put(self, part: Searched, scenes: Tensor) -> None:
        """Replace the search of the scenes with the indices `scenes` [B'] by another one."""
        self.best = place_scenes(part.best, scenes, self.best)
        for name in ("agreements", "independent", "starts"):
            setattr(self, name, getattr(self, name).index_copy(0, scenes, getattr(part, name)))
        self.others += [(scenes[inner], sources) for inner, sources in part.others]

    def include(self, part: Searched, scenes: Tensor, problem: Problem) -> None:
        """Include a search of the scenes with the indices `scenes` [B'] alone."""
        self.best, same, replaced = better(self.best, part.best, scenes, problem)
        same, kept = same[scenes], ~replaced[scenes]
        agreements = torch.where(same, 1 + part.agreements, torch.where(kept, 0, part.agreements))
        self.agreements = self.agreements.index_copy(0, scenes, agreements)
        self.independent = self.independent.index_copy(0, scenes, 1 + part.independent)
        self.starts = self.starts.index_add(0, scenes, part.starts)
        self.others += [(scenes[inner], sources) for inner, sources in part.others]

    def support(self, model: Model, problem: Problem) -> Tensor:
        """Share of the starts that found a source of the model, beside the one that gave it: [B, S].

        One start more counts as a failure, so that the share stays below one.
        """
        count = torch.zeros_like(model.sources.position[..., 0])
        radius = NEAR * problem.array.wavelength
        for scenes, sources in self.others:
            distance = distances(model.sources.position[scenes], sources.position)
            near = (distance < radius[scenes, None, None]) & sources.used[:, None]
            count = count.index_add(0, scenes, near.any(2).to(count))
        return ((count - 1) / self.starts[:, None]).clamp(min=0)

    def outcome(self, model: Model, problem: Problem) -> Outcome:
        """The outcome of the search for a model with the sources of the best starts."""
        agreed, confirmed = self.agreed(problem), self.confirmed(problem)
        return Outcome.of(model, problem, confirmed, agreed, self.starts, self.support(model, problem))


def search(
    first: GreedyState,
    problem: Problem,
    search_grid: SearchGrid,
    second: Second,
    correction: Correction,
    run: Run,
    settings: RestartSettings,
) -> Searched:
    """Several starts of every scene, up to `settings.together`.

    A scene ends when its fit is confirmed, or when independent starts agree. The latter ends scenes of unknown noise
    variance and scenes that the model does not fit. After the second start, starts alternate
    between phases near the best ones so far and random uniform phases after autofocus.

    Args:
        first: result of the first start.
        problem, search_grid: geometry and CSI, and the positions that are searched for echoes.
        second: returns, for scene indices [B'], the node phases [B', n, 1] of the second start, and whether they
            differ from those of the first start, bool [B'].
        correction: near-field correction of the line of sight, the same in every start.
        run: runs one start from node phases.
        settings: number of starts.
    """
    found = Searched.of(first, problem)
    generator = torch.Generator().manual_seed(settings.seed)
    for start in range(1, settings.together):
        scenes = found.left(problem)
        if len(scenes) == 0:
            break
        part = problem[scenes]
        if start == 1:
            phases, independent = second(scenes)
        else:
            phases, independent = next_phases(start, found.best.model[scenes], part, generator, settings)
        found.add(run(part, search_grid[scenes], phases, correction[scenes]), scenes, independent, problem)
    return found


def next_phases(
    start: int, best: Model, problem: Problem, generator: torch.Generator, settings: RestartSettings
) -> tuple[NodePhases, Tensor]:
    """Node phases of start number `start`: near those of the best model, or random and autofocused, in turn.

    Returns:
        The phases, and whether the start is independent of the best model, bool [B].
    """
    independent = torch.ones_like(best.cost, dtype=torch.bool)
    if start % 2 == 0:  # not independent: near the best phases it often ends in the same local minimum
        return near_phases(best, settings.jitter, generator), ~independent
    return focused_phases(problem, random_phases(problem, generator), settings), independent


@torch.no_grad()
def focused_phases(problem: Problem, start: NodePhases, settings: RestartSettings) -> NodePhases:
    """Node phases after autofocus from `start`."""
    search_grid = problem.search_grid(settings.autofocus.spacing)
    return autofocus.focus(problem, start, search_grid, settings.autofocus)[0]


def random_phases(problem: Problem, generator: torch.Generator) -> NodePhases:
    """Random uniform node phases, the same in every scene, so that no scene depends on the others of its batch.

    Nodes with a trusted line of sight start near the phases that fit it.
    """
    zero = NodePhases.zero(problem.link, 1)
    tx, rx = (torch.rand(side.shape[1], 1, generator=generator, dtype=side.dtype) for side in (zero.tx, zero.rx))
    tx, rx = zero.tx + 2 * math.pi * tx.to(zero.tx), zero.rx + 2 * math.pi * rx.to(zero.rx)
    trusted = problem.trusted[..., 0] > 0
    if trusted.any():
        fitted, n_tx = initial_phases(problem), trusted.shape[1]
        without = isolated_nodes(trusted)[..., None]
        tx = torch.where(without[:, :n_tx], tx, fitted.tx + NEAR_FITTED * tx)
        rx = torch.where(without[:, n_tx:], rx, fitted.rx + NEAR_FITTED * rx)
    return NodePhases.at_rest(tx, rx)


def near_phases(model: Model, std: float, generator: torch.Generator) -> NodePhases:
    """Node phases of a model plus Gaussian noise of this standard deviation [rad], the same in every scene."""
    tx, rx = model.sources.tx_phase[..., None], model.sources.rx_phase[..., None]
    noise = [std * torch.randn(side.shape[1], 1, generator=generator, dtype=side.dtype).to(side) for side in (tx, rx)]
    return NodePhases.at_rest(tx + noise[0], rx + noise[1])


def phase_difference(first: NodePhases, second: NodePhases, link: Tensor) -> Tensor:
    """Root mean square difference of the link phases [B], gauge removed, over links [B, n_tx, n_rx] (bool), [rad]."""
    error = link_phase_error(link_phase(first.tx, first.rx), link_phase(second.tx, second.rx), link)
    return (error.square().sum((1, 2, 3)) / link.sum((1, 2))).sqrt()


def better(
    best: GreedyState, other: GreedyState, scenes: Tensor, problem: Problem
) -> tuple[GreedyState, Tensor, Tensor]:
    """Scene by scene the better of two starts; `other` holds the scenes with the indices `scenes` [B'] only.

    Returns:
        The better starts, the scenes in which both starts agree, see `agree`, or find nothing in CSI that is consistent
        with the noise, and those with a new best start, [B].
    """
    tried = torch.zeros_like(best.running)
    tried[scenes] = True
    best, other = with_equal_slots(best, place_scenes(other, scenes, best))
    nothing = ~best.model.sources.used.any(1) & ~other.model.sources.used.any(1)
    silent = (problem.noise_variance <= 0) | model_selection.consistent(best.model, problem)
    same = agree(best.model, other.model, problem) | (nothing & silent)
    same = tried & same
    # a consistent residual comes before the criterion, which is no judge of fits with too many sources
    before, now = (model_selection.consistent(one.model, problem) for one in (best, other))
    lower = model_selection.better(other.model, best.model, problem)
    replaced = tried & torch.where(before == now, lower, now)
    return choose(replaced, other, best), same, replaced


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
