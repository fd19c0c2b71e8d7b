"""The two parts of the network: imaging blocks, and the joint refinement of their scatterers."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import nn

from unfolded_ogamp.imaging.greedy import detection
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.model import evaluate
from unfolded_ogamp.imaging.network.layers import ImagingLayer, JointLayer, SynchronisationLayer
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.ogamp import screening
from unfolded_ogamp.imaging.ogamp.screening import ScreenedState
from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters
from unfolded_ogamp.imaging.phases.refinement import NodePhases, observe
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.operators.search_grid import SearchGrid


class Block(nn.Module):
    """One block: screening, imaging layers on the candidates, and a synchronisation layer."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.imaging = nn.ModuleList(ImagingLayer(settings.imaging) for _ in range(settings.layers))
        self.synchronisation = SynchronisationLayer(settings.synchronisation, settings.greedy.step.phase_count)

    def parameters_of_layers(self) -> list[ImagingParameters]:
        """Tuning parameters of each imaging layer."""
        return [cast(ImagingLayer, layer).values() for layer in self.imaging]

    def forward(
        self, state: ScreenedState | None, problem: Problem, search_grid: SearchGrid, phases: NodePhases
    ) -> ScreenedState:
        """Run the block from a state, or from node phases if the state is None."""
        first, settings = self.parameters_of_layers()[0], self.settings
        if state is None:
            state = screening.init(problem, search_grid, phases, first, settings.imaging, settings.screening)
        else:
            state = screening.screen(state, problem, search_grid, first, settings.imaging, settings.screening)
        observation = observe(problem, state.phases)
        for layer in self.imaging:
            state = layer(state, problem, observation)
        return cast(ScreenedState, self.synchronisation(state, problem))


class Refinement(nn.Module):
    """Joint layers on the active candidates, a detection pass on the residual, and joint layers on all sources."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.detection = replace(settings.greedy.detection, false_alarm=settings.false_alarms)
        further = settings.joint_layers if settings.detection_passes else 0
        self.first, self.further, self.final = (
            nn.ModuleList(JointLayer(settings.greedy.step) for _ in range(length))
            for length in (settings.joint_layers, further, settings.final_layers)
        )

    @property
    def layers(self) -> list[JointLayer]:
        """All joint layers, in order."""
        return [cast(JointLayer, layer) for stage in (self.first, self.further, self.final) for layer in stage]

    def forward(self, state: ScreenedState, problem: Problem, search_grid: SearchGrid) -> JointState:
        """The sources of an imaging state after all joint layers, before the competition."""
        model = evaluate(screening.active_sources(state, problem), problem)
        return self.again(self._run(self.first, joint_step.init(model), problem), problem, search_grid)

    def again(self, state: JointState, problem: Problem, search_grid: SearchGrid) -> JointState:
        """Another detection pass, and joint layers."""
        if self.settings.detection_passes:
            limit = torch.full_like(state.model.cost, self.settings.additions).long()
            grown = detection.add(state.model, problem, search_grid, self.detection, limit)
            model = evaluate(grown, problem)
            state = self._run(self.further, joint_step.init(model), problem)
        return self._run(self.final, state, problem)

    def _run(self, stage: nn.ModuleList, state: JointState, problem: Problem) -> JointState:
        for layer in stage:
            state = layer(state, problem)
        return joint_step.init(detection.merge_and_prune(state.model, problem, self.detection))
