"""The unfolded network: blocks of OG-AMP on screened candidates, then joint layers on the scatterers that are left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from unfolded_ogamp.estimate import Estimate
from unfolded_ogamp.estimators import (
    alternating,
    detection,
    joint,
    line_of_sight,
    pruning,
    restarts,
    screening,
    selection,
)
from unfolded_ogamp.estimators.atlas import Atlas
from unfolded_ogamp.estimators.coherent import coherent
from unfolded_ogamp.estimators.curvature import Uncertainty
from unfolded_ogamp.estimators.greedy import GreedyState
from unfolded_ogamp.estimators.greedy_settings import GreedySettings
from unfolded_ogamp.estimators.greedy_starts import conclude, first_phases, take_over
from unfolded_ogamp.estimators.imaging_settings import ImagingParameters, ImagingSettings
from unfolded_ogamp.estimators.joint import JointState
from unfolded_ogamp.estimators.presets import screened_imaging
from unfolded_ogamp.estimators.problem import Problem, pose
from unfolded_ogamp.estimators.screening import ScreenedState, ScreeningSettings
from unfolded_ogamp.estimators.synchronisation import NodePhases, SynchronisationSettings
from unfolded_ogamp.networks.competition import Competition
from unfolded_ogamp.networks.layers import ImagingLayer, JointLayer, SynchronisationLayer
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.records import choose, place

EXPECTED_SCATTERERS = 20  # sets the first scale of reflectivities alone, which adapts to the CSI
SYNCHRONISATION = SynchronisationSettings(
    method="alignment", alignment_iterations=10, node_phase="common", phase_step=1.7
)


@dataclass(frozen=True)
class NetworkSettings:
    """What is fixed when the network is built; geometry, grid and all counts are inputs.

    Attributes:
        blocks: number of imaging blocks, each ending with a synchronisation layer.
        first_exit: blocks after which scenes leave whose refined estimate leaves no more than noise.
        layers: imaging layers in a block.
        looks: times the residual is searched for further scatterers after imaging; all but the first for scenes that
            are not settled.
        additions: largest number of scatterers that a look adds.
        false_alarms: upper bound of the number of echoes that noise adds to a scene; the competition takes them out.
        joint_layers: joint layers after imaging, and right after a look; joint steps after a pruning.
        final_layers: joint layers after those, before the competition.
        prunings: times the competition takes out what it does not believe in.
        width: of the competition's hidden layers; 0 leaves the decision to the information criterion.
        starts: largest number of node phases to start from; all but the first for scenes that are not settled.
        hand_over: whether scenes that are still not settled go to the greedy estimator.
        imaging, synchronisation, screening, greedy: settings of the analytic steps that the layers call.
    """

    blocks: int = 8
    first_exit: int = 2
    layers: int = 2
    looks: int = 3
    additions: int = 6
    false_alarms: float = 1.0
    joint_layers: int = 2
    final_layers: int = 3
    prunings: int = 4
    width: int = 16
    starts: int = 4
    hand_over: bool = True
    imaging: ImagingSettings = field(default_factory=screened_imaging)
    synchronisation: SynchronisationSettings = SYNCHRONISATION
    screening: ScreeningSettings = field(default_factory=ScreeningSettings)
    greedy: GreedySettings = field(default_factory=GreedySettings)

    def __post_init__(self) -> None:
        for name in ("blocks", "first_exit", "layers", "additions", "joint_layers", "final_layers", "starts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("looks", "prunings", "width"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 < self.false_alarms <= 1:
            raise ValueError(f"false_alarms must be in (0, 1], got {self.false_alarms}")
        if self.first_exit > self.blocks:
            raise ValueError(f"first_exit must be at most blocks = {self.blocks}, got {self.first_exit}")


@dataclass(frozen=True)
class Posed:
    """What the network works on.

    Attributes:
        full: the problem on all subcarriers, in double precision.
        problem: the problem on as few subcarriers as say the same.
        atlas: the positions that are searched.
        phases: node phases to start from [B, n, 1].
    """

    full: Problem
    problem: Problem
    atlas: Atlas
    phases: NodePhases


class Block(nn.Module):
    """Screening, imaging layers on the candidates, then a synchronisation layer."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.imaging = nn.ModuleList(ImagingLayer(settings.imaging) for _ in range(settings.layers))
        self.synchronisation = SynchronisationLayer(settings.synchronisation)

    def parameters_of_layers(self) -> list[ImagingParameters]:
        """What each imaging layer is tuned by."""
        return [cast(ImagingLayer, layer).values() for layer in self.imaging]

    def forward(self, state: ScreenedState | None, problem: Problem, atlas: Atlas, phases: NodePhases) -> ScreenedState:
        """Run the block from a state, or where there is none from node phases."""
        first, settings = self.parameters_of_layers()[0], self.settings
        if state is None:
            state = screening.init(problem, atlas, phases, first, settings.imaging, settings.screening)
        else:
            state = screening.screen(state, problem, atlas, first, settings.imaging, settings.screening)
        observation = alternating.observe(problem, state.phases)
        for layer in self.imaging:
            state = layer(state, problem, observation)
        return cast(ScreenedState, self.synchronisation(state, problem))


class Refinement(nn.Module):
    """Joint layers on the active candidates, a look at what is left unexplained, and joint layers on all of them."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.thresholds = replace(settings.greedy, false_alarm=settings.false_alarms)
        lengths = (settings.joint_layers, settings.joint_layers if settings.looks else 0, settings.final_layers)
        self.first, self.look, self.final = (
            nn.ModuleList(JointLayer(settings.greedy) for _ in range(length)) for length in lengths
        )

    @property
    def layers(self) -> list[JointLayer]:
        """All joint layers, in order."""
        return [cast(JointLayer, layer) for stage in (self.first, self.look, self.final) for layer in stage]

    def forward(self, state: ScreenedState, problem: Problem, atlas: Atlas) -> JointState:
        """Sources that have converged, before any is taken out for good."""
        start = joint.init(screening.active_sources(state), problem)
        return self.again(self._run(self.first, start, problem), problem, atlas)

    def again(self, state: JointState, problem: Problem, atlas: Atlas) -> JointState:
        """What becomes of sources after another look."""
        if self.settings.looks:
            limit = torch.full_like(state.cost, self.settings.additions).long()
            points = torch.zeros_like(limit, dtype=torch.bool)  # no target has size
            grown = detection.add(state.sources, problem, points, atlas, self.thresholds, limit)
            state = self._run(self.look, joint.init(grown, problem), problem)
        return self._run(self.final, state, problem)

    def _run(self, stage: nn.ModuleList, state: JointState, problem: Problem) -> JointState:
        for layer in stage:
            state = layer(state, problem)
        return detection.tidied(state, problem, self.thresholds)


class UnfoldedOGAMP(nn.Module):
    """OG-AMP alternating with synchronisation refinement, and joint refinement of what it finds, unfolded into layers.

    Parameters are real and do not depend on geometry, grid, or the numbers of nodes, frequencies, pixels or dimensions:
    one set of weights serves all. Before training every layer is the analytic step that it calls.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.blocks))
        self.refinement = Refinement(settings)
        self.competition = Competition(settings.width) if settings.width else None

    def states(self, problem: Problem, atlas: Atlas, phases: NodePhases) -> Iterator[ScreenedState]:
        """The state after each imaging block, from the given node phases."""
        state: ScreenedState | None = None
        for block in self.blocks:
            state = block(state, problem, atlas, phases)
            assert state is not None
            yield state

    def run(self, problem: Problem, atlas: Atlas, phases: NodePhases) -> GreedyState:
        """One start from node phases [B, n, 1] to its end; only scenes that are not settled go through all blocks."""
        first_exit = self.settings.first_exit
        state = next(islice(self.states(problem, atlas, phases), first_exit - 1, None))
        refined = self.refine(state, problem, atlas)
        scenes = (~restarts.settled(refined, problem, self.settings.greedy)).nonzero()[:, 0]
        if len(scenes) == 0 or first_exit == self.settings.blocks:
            return refined
        state, part, around = state[scenes], problem[scenes], atlas[scenes]
        for block in self.blocks[first_exit:]:
            state = block(state, part, around, phases[scenes])
        return restarts.better(refined, self.refine(state, part, around), scenes, problem)[0]

    def refine(self, state: ScreenedState, problem: Problem, atlas: Atlas) -> GreedyState:
        """Joint refinement of the active candidates and the competition, again where that is not enough."""
        refined = self.compete(self.refinement(state, problem, atlas), problem)
        everywhere = torch.ones_like(refined.cost, dtype=torch.bool)
        best = GreedyState(refined, running=everywhere, sized=~everywhere)
        for _ in range(1, self.settings.looks):
            scenes = (~restarts.settled(best, problem, self.settings.greedy)).nonzero()[:, 0]
            if len(scenes) == 0:
                break
            part = problem[scenes]
            further = self.compete(self.refinement.again(best[scenes].joint, part, atlas[scenes]), part)
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
                fewer = fewer & (selection.criterion(pruned, around) < selection.criterion(part, around))
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
        full, phases = line_of_sight.fitted(full, first_phases(full))
        # the line of sight as it was fitted is the line of sight as told
        none = torch.zeros_like(full.correction)
        told = replace(full, los=full.los + full.correction, correction=none, near=torch.zeros_like(full.near))
        problem = coherent(told).to(dtype=grid.centre.dtype)
        return Posed(
            full, problem, Atlas.of(problem, self.settings.screening.spacing), phases.to(dtype=grid.centre.dtype)
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

        first = self.run(problem, posed.atlas, given)
        best = restarts.search(first, problem, posed.atlas, second, self.run, settings.greedy, settings.starts)
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
