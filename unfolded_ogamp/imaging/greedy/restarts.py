"""Restarts: if the residual of a scene exceeds the noise, start again from other node phases; keep the best start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from unfolded_ogamp.imaging.assembly.outcome import Outcome
from unfolded_ogamp.imaging.greedy.agreement import agree, support
from unfolded_ogamp.imaging.greedy.calibration import Calibration
from unfolded_ogamp.imaging.greedy.rounds import GreedyState, place_scenes, with_equal_slots
from unfolded_ogamp.imaging.greedy.settings import RestartSettings
from unfolded_ogamp.imaging.greedy.start_phases import next_phases
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.likelihood.clusters import clustered
from unfolded_ogamp.imaging.likelihood.model_selection import MANY_SAMPLES
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.records import choose

MOSTLY_EXPLAINED = 0.8  # share of the scattered power; fits that explain less are often local minima
STARTS_IF_DOUBTFUL = 12  # least number of starts before such a scene counts as agreed
COMPARABLE = 2.0  # largest residual of a start over that of the best one if the two compete

Run = Callable[[Problem, SearchGrid, NodePhases], GreedyState]
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
        calibrations: self-calibrating starts of a scene, by its index.
    """

    best: GreedyState
    agreements: Tensor
    independent: Tensor
    starts: Tensor
    others: list[tuple[Tensor, Sources]]
    calibrations: dict[int, Calibration]

    @classmethod
    def of(cls, first: GreedyState, problem: Problem) -> Self:
        """A search after its first start."""
        scenes = torch.arange(len(problem.csi), device=problem.csi.device)
        none, once = torch.zeros_like(scenes), torch.ones_like(scenes)
        return cls(first, none, none, once, [(scenes, first.model.sources)], {})

    def agreed(self, problem: Problem) -> Tensor:
        """Scenes in which independent starts agree, bool [B]: at least two, and a third of all.

        Two of a few starts can end in one local minimum if samples are few, or if the fit leaves much of the scattered
        power; more starts are made there.
        """
        good = model_selection.explained(self.best.model, problem) >= MOSTLY_EXPLAINED
        enough = (self.starts >= STARTS_IF_DOUBTFUL) | ((problem.n_samples >= MANY_SAMPLES) & good)
        return enough & (self.agreements >= 2) & (3 * self.agreements >= self.independent)

    def confirmed(self, problem: Problem) -> Tensor:
        """Scenes with a consistent residual in which no echo can hide, or which another start confirms; bool [B].

        If there are samples enough to tell, sources must not cluster as the parts of extended targets do.
        """
        model = self.best.model
        sure = model_selection.decisive(model, problem) | (self.agreements >= 1) | problem.phases_known
        return model_selection.consistent(model, problem) & sure & ~clustered_points(model, problem)

    def continued(self, best: GreedyState) -> Self:
        """The same search in double precision, its best starts evaluated again as `best`."""
        others = [(scenes, sources.to(dtype=torch.float64)) for scenes, sources in self.others]
        return replace(self, best=best, others=others)

    def left(self, problem: Problem) -> Tensor:
        """Indices of the scenes that need further starts."""
        calibrated = torch.zeros_like(problem.phases_known)
        calibrated[[scene for scene, found in self.calibrations.items() if found.ended]] = True
        return (~calibrated & ~self.agreed(problem) & ~self.confirmed(problem)).nonzero()[:, 0]

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
        self.calibrations |= {int(scenes[inner]): found for inner, found in part.calibrations.items()}

    def include(self, part: Searched, scenes: Tensor, problem: Problem) -> None:
        """Include a search of the scenes with the indices `scenes` [B'] alone."""
        self.best, same, replaced = better(self.best, part.best, scenes, problem)
        same, kept = same[scenes], ~replaced[scenes]
        agreements = torch.where(same, 1 + part.agreements, torch.where(kept, 0, part.agreements))
        self.agreements = self.agreements.index_copy(0, scenes, agreements)
        self.independent = self.independent.index_copy(0, scenes, 1 + part.independent)
        self.starts = self.starts.index_add(0, scenes, part.starts)
        self.others += [(scenes[inner], sources) for inner, sources in part.others]
        self.calibrations |= {int(scenes[inner]): found for inner, found in part.calibrations.items()}

    def scene(self, scene: int) -> Self:
        """The search of one scene, as a batch of one, without self-calibration."""
        index = torch.tensor([scene], device=self.starts.device)
        others = [
            (torch.zeros_like(index), sources[(scenes == scene).nonzero()[:, 0]])
            for scenes, sources in self.others
            if (scenes == scene).any()
        ]
        counts = self.agreements[index], self.independent[index], self.starts[index]
        return type(self)(self.best[index], *counts, others, {})

    def outcome(self, model: Model, problem: Problem) -> Outcome:
        """The outcome of the search for a model with the sources of the best starts."""
        agreed, confirmed = self.agreed(problem), self.confirmed(problem)
        return Outcome.of(model, problem, confirmed, agreed, self.starts, support(model, problem, self.others))


def search(
    first: GreedyState,
    problem: Problem,
    search_grid: SearchGrid,
    second: Second,
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
        run: runs one start from node phases.
        settings: number of starts.
    """
    found = Searched.of(first, problem)
    generator = torch.Generator().manual_seed(settings.seed)
    for start in range(1, settings.together):
        scenes = found.left(problem)
        # with known phases, another plain start is the same; points in place of targets need another model
        other_model = clustered_points(found.best.model, problem)
        scenes = scenes[~(problem.phases_known | other_model)[scenes]]
        if len(scenes) == 0:
            break
        part = problem[scenes]
        if start == 1:
            phases, independent = second(scenes)
        else:
            phases, independent = next_phases(start, found.best.model[scenes], part, generator, settings)
        found.add(run(part, search_grid[scenes], phases), scenes, independent, problem)
    return found


def clustered_points(model: Model, problem: Problem) -> Tensor:
    """Scenes with samples enough to tell whose sources cluster as the parts of extended targets do, bool [B]."""
    found = clustered(model.sources, model_selection.strength(model, problem), problem)
    return found & (problem.n_samples >= MANY_SAMPLES)


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
