"""Gradients of the network agree with finite differences, for every learned scalar of every layer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from problems import started

from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import Posed, UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp import screening
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario


def setting() -> tuple[UnfoldedOGAMP, Posed]:
    scenario = Scenario(n_tx=12, n_rx=12, pixels=(6, 6), sparsity=0.1)
    scene, csi = draw(scenario, 1, torch.Generator().manual_seed(1))
    # without detection passes, which are in single precision
    network = UnfoldedOGAMP(NetworkSettings(blocks=3, layers=2, detection_passes=0)).double()
    return network, network.pose(csi, scene.array, scene.grid)


def check(network: UnfoldedOGAMP, part: str, value: Callable[[], torch.Tensor]) -> None:
    value().backward()
    step = 1e-6
    for name, parameter in network.named_parameters():
        if not name.startswith(part):
            continue
        with torch.no_grad():
            parameter += step
            ahead = value()
            parameter -= 2 * step
            behind = value()
            parameter += step
        slope = float(ahead - behind) / (2 * step)
        assert parameter.grad is not None, name
        assert abs(float(parameter.grad) - slope) < 1e-4 * max(abs(slope), 1e-3), name


def test_gradients_of_imaging_blocks_agree_with_finite_differences() -> None:
    network, posed = setting()

    def value() -> torch.Tensor:
        *_, state = network.states(posed.problem, posed.search_grid, posed.phases)
        image = state.imaging.messages.prediction()
        return (image - posed.problem.csi).abs().square().mean() + 0.1 * state.phases.tx.square().mean()

    check(network, "blocks", value)


def test_gradients_of_joint_layers_agree_with_finite_differences() -> None:
    network, posed = setting()
    with torch.no_grad():
        *_, last = network.states(posed.problem, posed.search_grid, posed.phases)

    def value() -> torch.Tensor:
        sources = network.refinement(last, posed.problem, posed.search_grid).model.sources
        truth = posed.problem.grid.centre.mean(1)
        return (sources.position - truth).square().sum() + sources.tx_phase.square().sum()

    check(network, "refinement", value)


def test_a_joint_layer_never_raises_the_cost() -> None:
    network, posed = setting()
    with torch.no_grad():
        for parameter in network.refinement.parameters():
            parameter.fill_(3.0)  # far too long a step
        *_, last = network.states(posed.problem, posed.search_grid, posed.phases)
        state = started(screening.active_sources(last, posed.problem), posed.problem)
        for layer in network.refinement.layers:
            new = layer(state, posed.problem)
            ridge = layer.values().prior * joint_step.prior_precision(state.model, posed.problem)
            before, after = (
                each.model.cost + ridge * joint_step.reflectivity_power(each.model.sources) for each in (state, new)
            )
            assert bool((after <= before * (1 + 1e-12)).all())
            state = new
