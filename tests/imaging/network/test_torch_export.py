"""A block can be exported as a graph, for any batch and any number of positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import Posed, UnfoldedOGAMP
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.operators.search_grid import SearchGrid


class FirstBlock(nn.Module):
    """The first block as a function of tensors, as an exported graph needs it."""

    def __init__(self, network: UnfoldedOGAMP, posed: Posed) -> None:
        super().__init__()
        self.block, self.problem = network.blocks[0], posed.problem

    def forward(self, csi: Tensor, position: Tensor, tx: Tensor, rx: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        problem = type(self.problem)(**{**vars(self.problem), "csi": csi})
        phases = NodePhases.zero(problem.link, 1)
        state = self.block(None, problem, SearchGrid(position, tx, rx, energy, energy[:, 0]), phases)
        return state.position, state.imaging.messages.posterior.log_odds


def network_input(side: int, network: UnfoldedOGAMP) -> Posed:
    scenario = Scenario(n_tx=6, n_rx=7, pixels=(side, side), sparsity=0.06)
    scene, csi = draw(scenario, 3, torch.Generator().manual_seed(side))
    scene, csi = scene.to(torch.float32), csi.to(torch.float32)
    return network.pose(csi, scene.array, scene.grid)


def arguments(given: Posed) -> tuple[Tensor, ...]:
    search_grid = given.search_grid
    return given.problem.csi, search_grid.position, search_grid.tx, search_grid.rx, search_grid.energy


def test_exported_graph_agrees_for_other_csi_and_numbers_of_positions() -> None:
    network = UnfoldedOGAMP(NetworkSettings(blocks=1, first_exit=1, layers=1)).eval().requires_grad_(False)
    given = network_input(8, network)
    module = FirstBlock(network, given)
    positions = torch.export.Dim("positions", min=200)
    shapes = ({}, {1: positions}, {3: positions}, {3: positions}, {1: positions})
    program = torch.export.export(module, arguments(given), dynamic_shapes=shapes)
    for side in (8, 11):
        other = arguments(network_input(side, network))
        for exported, direct in zip(program.module()(*other), module(*other), strict=True):
            torch.testing.assert_close(exported, direct, rtol=1e-4, atol=1e-4)
