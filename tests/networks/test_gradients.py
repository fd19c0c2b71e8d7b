"""The gradient that training follows is the slope of the network, for every learned scalar of every layer."""

from __future__ import annotations

import torch

from unfolded_ogamp.data import Scenario, draw
from unfolded_ogamp.estimators import alternating
from unfolded_ogamp.networks import NetworkSettings, UnfoldedOGAMP


def test_gradients_agree_with_finite_differences() -> None:
    scenario = Scenario(n_tx=8, n_rx=8, pixels=(6, 6), sparsity=0.08)
    scene, csi = draw(scenario, 1, torch.Generator().manual_seed(1))
    network = UnfoldedOGAMP(NetworkSettings(blocks=3, layers=2)).double()
    problem = alternating.pose_problem(csi, scene.array, scene.grid, network.settings.analytic)

    def value() -> torch.Tensor:
        *_, state = network.states(problem, [])
        image = state.imaging.messages.prediction()
        return (image - problem.csi).abs().square().mean() + 0.1 * state.phases.tx.square().mean()

    value().backward()
    step = 1e-6
    for name, parameter in network.named_parameters():
        with torch.no_grad():
            parameter += step
            ahead = value()
            parameter -= 2 * step
            behind = value()
            parameter += step
        slope = float(ahead - behind) / (2 * step)
        assert parameter.grad is not None, name
        assert abs(float(parameter.grad) - slope) < 1e-4 * max(abs(slope), 1e-3), name
