"""The unfolded network: a fixed number of blocks, each of imaging layers and a synchronisation layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import cast

import torch
from torch import Tensor, nn

from unfolded_ogamp.estimate import Estimate, History
from unfolded_ogamp.estimators import alternating
from unfolded_ogamp.estimators.alternating import AlternatingSettings, AlternatingState
from unfolded_ogamp.estimators.imaging_settings import ImagingParameters
from unfolded_ogamp.estimators.presets import tuned
from unfolded_ogamp.estimators.problem import Problem
from unfolded_ogamp.networks.layers import ImagingLayer, SynchronisationLayer
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid


@dataclass(frozen=True)
class NetworkSettings:
    """What is fixed when the network is built; geometry, grid and all counts are inputs.

    Attributes:
        blocks: number of blocks, each ending with a synchronisation layer.
        layers: imaging layers in a block.
        passes: times the blocks after the search are run, with the same weights: their learned step sizes are a cycle
            that can be gone through again. Training goes through it once.
        analytic: the estimator that the network unfolds and equals before training. Its own numbers of blocks and
            iterations and its tolerances are not used.
    """

    blocks: int = 10
    layers: int = 2
    passes: int = 1
    analytic: AlternatingSettings = field(default_factory=tuned)

    def __post_init__(self) -> None:
        for name in ("blocks", "layers", "passes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def order(self) -> list[int]:
        """The blocks in the order in which they are run."""
        every = list(range(self.blocks))
        return every + (self.passes - 1) * every[self.analytic.search_blocks :]


class Block(nn.Module):
    """Imaging layers, then a synchronisation layer."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        analytic = settings.analytic
        self.imaging = nn.ModuleList(ImagingLayer(analytic.imaging) for _ in range(settings.layers))
        self.synchronisation = SynchronisationLayer(analytic)

    def parameters_of_layers(self) -> list[ImagingParameters]:
        """What each imaging layer is tuned by."""
        return [cast(ImagingLayer, layer).values() for layer in self.imaging]

    def forward(
        self, state: AlternatingState, problem: Problem, index: int, entries: list[History]
    ) -> AlternatingState:
        """Run the block; `index` counts blocks, `entries` receives the history."""
        settings = self.synchronisation.settings
        first, start = self.parameters_of_layers()[0], state
        state, observation = alternating.begin_block(state, problem, first, settings, index)
        every = settings.imaging.recentre_every
        for iteration, layer in enumerate(self.imaging, start=1):
            before = state
            state = layer(state, problem, observation, recentring=every > 0 and iteration % every == 0)
            with torch.no_grad():
                entries.append(alternating.record(before.imaging, state.imaging, problem, observation))
        return self.synchronisation(state, start, problem)


class UnfoldedOGAMP(nn.Module):
    """OG-AMP alternating with synchronisation refinement, unfolded into layers with learned scalars.

    Parameters are real and do not depend on geometry, grid, or the numbers of nodes, frequencies, pixels or dimensions:
    one set of weights serves all. Before training the network equals the analytic estimator `settings.analytic` run for
    the same numbers of blocks and iterations.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.blocks))

    @property
    def _blocks(self) -> list[Block]:
        return [cast(Block, block) for block in self.blocks]

    def states(self, problem: Problem, entries: list[History]) -> Iterator[AlternatingState]:
        """The state after each block; `entries` receives the history of every layer."""
        first = self._blocks[0].parameters_of_layers()[0]
        state = alternating.init(problem, first, self.settings.analytic)
        blocks = self._blocks
        for index in self.settings.order:
            state = blocks[index](state, problem, index, entries)
            yield state

    def forward(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes.

        Raises:
            ValueError: if shapes do not fit one another.
        """
        problem = alternating.pose_problem(csi, array, grid, self.settings.analytic)
        entries: list[History] = []
        for state in self.states(problem, entries):
            last = state
        return alternating.conclude(last, problem, self.settings.analytic, entries)

    def curves(self) -> dict[str, Tensor]:
        """Value of every learned quantity along the layers (imaging) or blocks (synchronisation), for figures."""
        layers = [values for block in self._blocks for values in block.parameters_of_layers()]
        result = {f.name: torch.stack([getattr(v, f.name).detach() for v in layers]) for f in fields(ImagingParameters)}
        refinements = [block.synchronisation.values() for block in self._blocks]
        for name in refinements[0]:
            result[name] = torch.stack([values[name].detach() for values in refinements])
        return result
