"""The unfolded network: blocks of OG-AMP on screened candidates, then joint layers on the active ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from unfolded_ogamp.imaging.assembly import assemble
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.evidence.noise import with_noise_variance
from unfolded_ogamp.imaging.evidence.rank import with_least_count
from unfolded_ogamp.imaging.evidence.subcarriers import coherent
from unfolded_ogamp.imaging.greedy import pruning, restarts, rounds
from unfolded_ogamp.imaging.greedy.conclusion import conclude
from unfolded_ogamp.imaging.greedy.estimator import fall_back
from unfolded_ogamp.imaging.greedy.persistence import Budget
from unfolded_ogamp.imaging.greedy.restarts import Searched
from unfolded_ogamp.imaging.greedy.rounds import GreedyState, free_phases
from unfolded_ogamp.imaging.greedy.start_phases import focused_phases, phase_difference
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.likelihood.model_selection import consistent
from unfolded_ogamp.imaging.likelihood.uncertainty import Uncertainty
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.network.blocks import Block, Refinement
from unfolded_ogamp.imaging.network.competition import Competition
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.ogamp.screening import ScreenedState
from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters
from unfolded_ogamp.imaging.phases.refinement import NodePhases, initial_phases
from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.system import Network

EXPECTED_SCATTERERS = 20  # sets the initial scale of reflectivities, which then adapts to the CSI


@dataclass(frozen=True)
class Posed:
    """Inputs of the network after preparation.

    Attributes:
        full: the problem on all subcarriers, in double precision.
        averaged: the problem after averaging of coherent subcarriers, in double precision.
        problem: the same in the precision of the network.
        search_grid: positions that are searched for echoes.
        phases: initial node phases [B, n, 1].
    """

    full: Problem
    averaged: Problem
    problem: Problem
    search_grid: SearchGrid
    phases: NodePhases


class UnfoldedOGAMP(Network):
    """OG-AMP in alternation with synchronisation refinement, then joint refinement, unfolded into layers.

    The parameters are real and independent of geometry, grid, and the numbers of nodes, frequencies, pixels and
    dimensions: one set of weights serves all. Before training every layer is the analytic step that it calls.
    """

    system = "imaging"
    settings: NetworkSettings

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.blocks))
        self.refinement = Refinement(settings)
        self.competition = Competition(settings.width) if settings.width else None
        self.budget = Budget()

    def states(self, problem: Problem, search_grid: SearchGrid, phases: NodePhases) -> Iterator[ScreenedState]:
        """The state after each imaging block, from the given node phases."""
        state: ScreenedState | None = None
        for block in self.blocks:
            state = block(state, problem, search_grid, phases)
            assert state is not None
            yield state

    def run(self, problem: Problem, search_grid: SearchGrid, phases: NodePhases) -> GreedyState:
        """One start from node phases [B, n, 1]; only scenes whose residual exceeds the noise use all blocks."""
        first_exit = self.settings.first_exit
        state = next(islice(self.states(problem, search_grid, phases), first_exit - 1, None))
        refined = self.refine(state, problem, search_grid)
        scenes = self._exceeding(refined, problem)
        if len(scenes) == 0 or first_exit == self.settings.blocks:
            return refined
        state, part, around = state[scenes], problem[scenes], search_grid[scenes]
        for block in self.blocks[first_exit:]:
            state = block(state, part, around, phases[scenes])
        return restarts.better(refined, self.refine(state, part, around), scenes, problem)[0]

    def refine(self, state: ScreenedState, problem: Problem, search_grid: SearchGrid) -> GreedyState:
        """Joint refinement of the active candidates and competition, repeated if the residual exceeds the noise."""
        best = self._greedy_state(self.compete(self.refinement(state, problem, search_grid), problem))
        for _ in range(1, self.settings.detection_passes):
            scenes = self._exceeding(best, problem)
            if len(scenes) == 0:
                break
            part = problem[scenes]
            further = self.compete(self.refinement.again(best[scenes].joint, part, search_grid[scenes]), part)
            best = restarts.better(best, self._greedy_state(further), scenes, problem)[0]
        return best

    def compete(self, state: JointState, problem: Problem) -> JointState:
        """Remove improbable sources; of several close ones, one at a time.

        Without a competition, a source whose removal raises the information criterion is restored.
        """
        settings = self.settings.greedy

        def refit(fewer: JointState, part: Problem) -> JointState:
            free = free_phases(fewer.model, part, settings.step)
            for _ in range(self.settings.joint_layers):
                fewer = joint_step.step(fewer, part, free, settings.step.largest_move)
            return fewer

        def score(model: Model, part: Problem, _scenes: Tensor) -> Tensor:
            return self.log_odds(model, part)

        return pruning.prune(
            state,
            problem,
            score,
            pruning.weakest_nearby(settings.detection.separation),
            refit,
            keep_needed=self.competition is None,
            rounds=self.settings.prunings,
        )

    def log_odds(self, model: Model, problem: Problem, known: Uncertainty | None = None) -> Tensor:
        """Log-odds [B, S] that the sources are true scatterers; `known` is their uncertainty, if already computed."""
        known = pruning.exact_uncertainty(model, problem) if known is None else known
        found = pruning.evidence(model, problem, known)
        if self.competition is None:
            return pruning.log_odds(found, model, problem)
        return cast(Tensor, self.competition(model, problem, found))

    def pose(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Posed:
        """Prepare the inputs, in the precision of `grid`."""
        dtype = grid.centre.dtype
        full = pose(csi, array, grid, torch.full_like(grid.pixel, EXPECTED_SCATTERERS)).to(dtype=torch.float64)
        full = with_noise_variance(full)
        averaged, phases = with_least_count(coherent(full)), initial_phases(full).to(dtype=dtype)
        problem = averaged.to(dtype=dtype)
        return Posed(full, averaged, problem, problem.search_grid(self.settings.screening.spacing), phases)

    def forward(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes.

        Raises:
            ValueError: if shapes do not match.

        Warns:
            MismatchWarning: if the model does not fit the CSI.
        """
        if csi.phases_known is not None and len(csi.phases_known.unique()) > 1:
            one_by_one = [slice(scene, scene + 1) for scene in range(len(csi.value))]
            return assemble.batched([self(csi[one], array[one], grid[one]) for one in one_by_one])
        posed, settings = self.pose(csi, array, grid), self.settings.greedy.restarts
        problem, given = posed.problem, posed.phases
        if bool((problem.phases_known | problem.phases_told).any()):  # the layers fit phases without a prior
            empty = rounds.init(posed.averaged, given.to(dtype=torch.float64))
            return self.to_estimate(Searched.of(empty, posed.averaged), posed, grid.centre.dtype)

        def second(scenes: Tensor) -> tuple[NodePhases, Tensor]:
            begin, part = given[scenes], problem[scenes]
            focused = focused_phases(part, begin, settings)
            return focused, phase_difference(begin, focused, part.link[..., 0] > 0) > settings.jitter

        def run(part: Problem, around: SearchGrid, phases: NodePhases) -> GreedyState:
            return self.run(part, around, phases)

        first = self.run(problem, posed.search_grid, given)
        limited = replace(settings, together=self.settings.starts)
        found = restarts.search(first, problem, posed.search_grid, second, run, limited)
        return self.to_estimate(found, posed, grid.centre.dtype)

    def to_estimate(self, found: Searched, posed: Posed, dtype: torch.dtype) -> Estimate:
        """The estimate of a search, on all subcarriers, after the fallback."""
        settings, given, problem = self.settings.greedy, posed.phases.to(dtype=torch.float64), posed.averaged
        sources = found.best.model.sources.to(dtype=torch.float64)
        best = self._greedy_state(joint_step.init(evaluate(sources, problem)))
        found = found.continued(best)
        if self.settings.fallback:
            found = fall_back(found, problem, given, settings, self.budget)

        def decide(model: Model, full: Problem, known: Uncertainty) -> Tensor:
            return self.log_odds(model.to(dtype=dtype), full.to(dtype=dtype), known).sigmoid()

        return conclude(found, problem, posed.full, settings, dtype, decide)

    def _exceeding(self, state: GreedyState, problem: Problem) -> Tensor:
        """Indices of the scenes whose residual exceeds the noise."""
        return (~consistent(state.model, problem)).nonzero()[:, 0]

    @staticmethod
    def _greedy_state(state: JointState) -> GreedyState:
        return GreedyState(state, torch.ones_like(state.model.cost, dtype=torch.bool))

    def curves(self) -> dict[str, Tensor]:
        """Value of every learned scalar along the layers, for figures."""
        blocks = [block for block in self.blocks if isinstance(block, Block)]
        layers = [values for block in blocks for values in block.parameters_of_layers()]
        result = {f.name: torch.stack([getattr(v, f.name).detach() for v in layers]) for f in fields(ImagingParameters)}
        for name in ("phase_step", "momentum"):
            result[name] = torch.stack([getattr(block.synchronisation.values(), name).detach() for block in blocks])
        steps = [layer.values() for layer in self.refinement.layers]
        for name in ("damping", "step", "prior"):
            result[f"joint_{name}"] = torch.stack([getattr(values, name).detach() for values in steps])
        return result
