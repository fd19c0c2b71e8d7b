"""The unfolded network: blocks of OG-AMP on screened candidates, then joint layers on the scatterers that are left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.greedy import pruning, restarts
from unfolded_ogamp.imaging.greedy.estimator import conclude, first_phases, take_over
from unfolded_ogamp.imaging.greedy.rounds import GreedyState
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty
from unfolded_ogamp.imaging.network.blocks import Block, Refinement
from unfolded_ogamp.imaging.network.competition import Competition
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.ogamp.screening import ScreenedState
from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.imaging.subcarriers import coherent
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.records import choose, place
from unfolded_ogamp.system import Network

EXPECTED_SCATTERERS = 20  # sets the first scale of reflectivities alone, which adapts to the CSI


@dataclass(frozen=True)
class Posed:
    """What the network works on.

    Attributes:
        full: the problem on all subcarriers, in double precision.
        problem: the problem on as few subcarriers as say the same.
        search_grid: the positions that are searched.
        phases: node phases to start from [B, n, 1].
    """

    full: Problem
    problem: Problem
    search_grid: SearchGrid
    phases: NodePhases


class UnfoldedOGAMP(Network):
    """OG-AMP alternating with synchronisation refinement, and joint refinement of what it finds, unfolded into layers.

    Parameters are real and do not depend on geometry, grid, or the numbers of nodes, frequencies, pixels or dimensions:
    one set of weights serves all. Before training every layer is the analytic step that it calls.
    """

    system = "imaging"
    settings: NetworkSettings

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.blocks))
        self.refinement = Refinement(settings)
        self.competition = Competition(settings.width) if settings.width else None

    def states(self, problem: Problem, search_grid: SearchGrid, phases: NodePhases) -> Iterator[ScreenedState]:
        """The state after each imaging block, from the given node phases."""
        state: ScreenedState | None = None
        for block in self.blocks:
            state = block(state, problem, search_grid, phases)
            assert state is not None
            yield state

    def run(self, problem: Problem, search_grid: SearchGrid, phases: NodePhases) -> GreedyState:
        """One start from node phases [B, n, 1] to its end; only scenes that are not settled go through all blocks."""
        first_exit = self.settings.first_exit
        state = next(islice(self.states(problem, search_grid, phases), first_exit - 1, None))
        refined = self.refine(state, problem, search_grid)
        scenes = (~restarts.settled(refined, problem, self.settings.greedy)).nonzero()[:, 0]
        if len(scenes) == 0 or first_exit == self.settings.blocks:
            return refined
        state, part, around = state[scenes], problem[scenes], search_grid[scenes]
        for block in self.blocks[first_exit:]:
            state = block(state, part, around, phases[scenes])
        return restarts.better(refined, self.refine(state, part, around), scenes, problem)[0]

    def refine(self, state: ScreenedState, problem: Problem, search_grid: SearchGrid) -> GreedyState:
        """Joint refinement of the active candidates and the competition, again where that is not enough."""
        refined = self.compete(self.refinement(state, problem, search_grid), problem)
        everywhere = torch.ones_like(refined.cost, dtype=torch.bool)
        best = GreedyState(refined, running=everywhere, sized=~everywhere)
        for _ in range(1, self.settings.looks):
            scenes = (~restarts.settled(best, problem, self.settings.greedy)).nonzero()[:, 0]
            if len(scenes) == 0:
                break
            part = problem[scenes]
            further = self.compete(self.refinement.again(best[scenes].joint, part, search_grid[scenes]), part)
            best = restarts.better(best, replace(best[scenes], joint=further), scenes, problem)[0]
        return best

    def compete(self, state: JointState, problem: Problem) -> JointState:
        """Take out what the competition does not believe in, of sources that are close to one another one at a time.

        Without a competition the information criterion has the last word on every one of them.
        """
        settings, doubted = self.settings, torch.ones_like(state.cost, dtype=torch.bool)
        for _ in range(settings.prunings):
            scenes = doubted.nonzero()[:, 0]
            part, around = state[scenes], problem[scenes]
            pruned, fewer = pruning.prune(
                part, around, self.log_odds(part, around), settings.greedy, settings.joint_layers
            )
            if self.competition is None:
                fewer = fewer & (model_selection.criterion(pruned, around) < model_selection.criterion(part, around))
            if not fewer.any():
                break
            state = place(choose(fewer, pruned, part), scenes, state)
            doubted = doubted.index_put((scenes,), fewer)
        return state

    def log_odds(self, state: JointState, problem: Problem, known: Uncertainty | None = None) -> Tensor:
        """Log-odds [B, S] that the sources are scatterers of their own; `known` is their uncertainty, if at hand."""
        known = pruning.exact_uncertainty(state.sources, problem) if known is None else known
        found = pruning.evidence(state, problem, known)
        if self.competition is None:
            return pruning.log_odds(found, state.sources, problem)
        return cast(Tensor, self.competition(state, problem, found))

    def pose(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Posed:
        """What the network works on, in the precision of `grid`."""
        full = pose(csi, array, grid, torch.full_like(grid.pixel, EXPECTED_SCATTERERS)).to(dtype=torch.float64)
        problem, phases = coherent(full).to(dtype=grid.centre.dtype), first_phases(full)
        return Posed(
            full, problem, problem.search_grid(self.settings.screening.spacing), phases.to(dtype=grid.centre.dtype)
        )

    def forward(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes.

        Raises:
            ValueError: if shapes do not fit one another.
        """
        settings, posed = self.settings, self.pose(csi, array, grid)
        problem, given = posed.problem, posed.phases

        def second(scenes: Tensor) -> tuple[NodePhases, Tensor]:
            begin, part = given[scenes], problem[scenes]
            focused = restarts.focused_phases(part, begin, settings.greedy)
            return focused, restarts.apart(begin, focused, part.link[..., 0] > 0) > settings.greedy.jitter

        first = self.run(problem, posed.search_grid, given)
        best = restarts.search(first, problem, posed.search_grid, second, self.run, settings.greedy, settings.starts)
        return self.conclude(best, posed, grid.centre.dtype)

    def conclude(self, state: GreedyState, posed: Posed, dtype: torch.dtype) -> Estimate:
        """The estimate, on all subcarriers, that the end of a start stands for.

        Warns:
            MismatchWarning: if the model does not fit the CSI.
        """
        thresholds, given = self.settings.greedy, posed.phases.to(dtype=torch.float64)
        state, full = state.to(dtype=torch.float64), posed.full
        if self.settings.hand_over:
            state, full = take_over(state, full, given, thresholds)

        def decide(state: JointState, problem: Problem, known: Uncertainty) -> Tensor:
            return self.log_odds(state.to(dtype=dtype), problem.to(dtype=dtype), known).sigmoid()

        return conclude(state, full, thresholds, dtype, decide)

    def curves(self) -> dict[str, Tensor]:
        """Value of every learned scalar along the layers, for figures."""
        blocks = [block for block in self.blocks if isinstance(block, Block)]
        layers = [values for block in blocks for values in block.parameters_of_layers()]
        result = {f.name: torch.stack([getattr(v, f.name).detach() for v in layers]) for f in fields(ImagingParameters)}
        for name in ("phase_step", "momentum"):
            result[name] = torch.stack([block.synchronisation.values()[name].detach() for block in blocks])
        steps = [layer.values() for layer in self.refinement.layers]
        for name in ("damping", "step", "prior"):
            result[f"joint_{name}"] = torch.stack([getattr(values, name).detach() for values in steps])
        return result
