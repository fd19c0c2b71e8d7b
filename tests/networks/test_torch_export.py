"""Nothing in the forward pass stands in the way of exporting it as a graph, with any batch and any grid."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from unfolded_ogamp.data import Scenario, draw
from unfolded_ogamp.estimators import alternating
from unfolded_ogamp.estimators.presets import tuned
from unfolded_ogamp.networks import NetworkSettings, UnfoldedOGAMP
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, link_phase


class TensorsOnly(nn.Module):
    """The network between tensors: what an exported graph takes and gives."""

    def __init__(self, network: UnfoldedOGAMP) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, value: Tensor, link: Tensor, tx: Tensor, rx: Tensor, frequency: Tensor, centre: Tensor, pixel: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        none = torch.zeros_like(link)
        csi = Csi(value, link, none, torch.zeros_like(value), none, None)
        array, grid = NodeArray(tx, rx, frequency, frequency[:, 0]), PixelGrid(centre, pixel)
        problem = alternating.pose_problem(csi, array, grid, self.network.settings.analytic)
        *_, state = self.network.states(problem, [])
        phase = link_phase(state.phases.tx, state.phases.rx)
        return state.imaging.messages.posterior.log_odds[:, 0], centre + state.imaging.offset, phase


def inputs(batch: int, side: int) -> tuple[Tensor, ...]:
    scenario = Scenario(n_tx=6, n_rx=7, pixels=(side, side), sparsity=0.06)
    scene, csi = draw(scenario, batch, torch.Generator().manual_seed(side))
    scene, csi = scene.to(torch.float32), csi.to(torch.float32)
    array, grid = scene.array, scene.grid
    return csi.value, csi.link, array.tx, array.rx, array.frequency, grid.centre, grid.pixel


def test_exported_graph_agrees_for_other_batches_and_grids() -> None:
    analytic = tuned()
    analytic = replace(analytic, synchronisation=replace(analytic.synchronisation, alignment_iterations=3))
    network = UnfoldedOGAMP(NetworkSettings(blocks=1, analytic=analytic)).eval().requires_grad_(False)
    module = TensorsOnly(network)
    batch, pixels = torch.export.Dim("batch", min=2), torch.export.Dim("pixels", min=4)
    shapes = [{0: batch}] * 5 + [{0: batch, 1: pixels}, {0: batch}]
    program = torch.export.export(module, inputs(3, 5), dynamic_shapes=tuple(shapes))
    for sizes in ((3, 5), (2, 8), (5, 6)):
        arguments = inputs(*sizes)
        for exported, direct in zip(program.module()(*arguments), module(*arguments), strict=True):
            torch.testing.assert_close(exported, direct, rtol=1e-4, atol=1e-4)
