"""The Jacobian with nodes and moments: finite differences, the normal matrix of the joint step, and its blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import Posed, pose_scene
from torch import Tensor

from unfolded_ogamp.imaging.likelihood import normal_equations
from unfolded_ogamp.imaging.likelihood.jacobian import jacobian
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.selfcalibration.priors import with_moments
from unfolded_ogamp.imaging.selfcalibration.step import move
from unfolded_ogamp.physics import measure

PLANE = Scenario(n_tx=6, n_rx=5, pixels=(8, 8), sparsity=0.05)
SPACE = replace(PLANE, pixels=(4, 4, 4), node_radius=(1.0, 1.5))
STEP = 1e-6


def of_scenario(scenario: Scenario, los: bool) -> Posed:
    generator = torch.Generator().manual_seed(1)
    scene = draw_scene(scenario, 2, generator)
    if los:
        scene = replace(scene, los=torch.rand(scene.link.shape, generator=generator) > 0.5)
    return pose_scene(scene, measure(scene, generator), 1.0)


def with_random_unknowns(posed: Posed, moments: bool) -> tuple[Model, Problem]:
    """A model whose nodes, moments and weights are far from those of the list; node phases are zero."""
    generator = torch.Generator().manual_seed(2)

    def normal(like: Tensor, std: float) -> Tensor:
        return std * torch.randn(like.shape, generator=generator, dtype=like.dtype)

    sources = with_moments(posed.truth) if moments else posed.truth
    nodes = sources.nodes.map(lambda value: normal(value, 0.05))
    sources = replace(
        sources,
        nodes=nodes,
        moment=normal(sources.moment, 0.3),
        coupling=normal(sources.coupling, 0.01) if moments else sources.coupling,
        tx_phase=0 * sources.tx_phase,
        rx_phase=0 * sources.rx_phase,
    )
    weight = 0.1 + torch.rand(posed.problem.link.shape, generator=generator, dtype=torch.float64)
    problem = posed.problem.weighted(weight)
    return evaluate(sources, problem), problem


def numeric(model: Model, problem: Problem, index: int, size: int) -> Tensor:
    """Central difference of the channel by one unknown."""
    change = torch.zeros(len(model.cost), size, dtype=torch.float64)
    change[:, index] = STEP
    limit = torch.full((len(model.cost),), torch.inf, dtype=torch.float64)
    ends = (evaluate(move(model.sources, sign * change, limit), problem).residual for sign in (-1, 1))
    return (next(ends) - next(ends)) / (2 * STEP)


@pytest.mark.parametrize("los", [False, True])
@pytest.mark.parametrize("scenario", [PLANE, SPACE], ids=["plane", "space"])
def test_columns_are_finite_differences(scenario: Scenario, los: bool) -> None:
    """All but those of the phases, which replace the CSI by the channel; without double scattering, which is fixed."""
    model, problem = with_random_unknowns(of_scenario(scenario, los), moments=True)
    model = evaluate(replace(model.sources, coupling=0 * model.sources.coupling), problem)
    columns = jacobian(model, problem).written_out()
    dimension, n_nodes = len(scenario.pixels), scenario.n_tx + scenario.n_rx
    size, nodes = columns.shape[-1], columns.shape[-1] - n_nodes * (dimension + 2)
    for index in range(size):
        if index >= nodes and (index - nodes) % (dimension + 2) == 0:
            continue
        expected = numeric(model, problem, index, size)
        scale = expected.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-9)
        assert float(((columns[..., index] - expected) / scale).abs().max()) < 1e-6, index


@pytest.mark.parametrize("moments", [False, True])
def test_products_use_the_blocks_of_the_nodes(moments: bool) -> None:
    model, problem = with_random_unknowns(of_scenario(PLANE, los=True), moments)
    derivatives = jacobian(model, problem)
    columns = derivatives.written_out().flatten(1, 3)
    matrix = (columns.mH @ columns).real
    torch.testing.assert_close(derivatives.normal_matrix(), matrix, rtol=0, atol=1e-10 * float(matrix.abs().max()))
    matched = (columns.mH @ model.residual.flatten(1)[..., None])[..., 0].real
    torch.testing.assert_close(derivatives.matched(model.residual), matched)


def test_image_and_phases_are_those_of_the_joint_step() -> None:
    """With weights of the links, which the joint step forms by products of Gram matrices if all are one."""
    posed = of_scenario(PLANE, los=False)
    for weight in (1.0, 0.3):
        problem = posed.problem.weighted(torch.full_like(posed.problem.link, weight))
        model = evaluate(posed.truth, problem)
        n_image, nodes = posed.truth.used.shape[1] * 4, PLANE.n_tx + PLANE.n_rx
        phases = n_image + 4 * torch.arange(nodes)
        chosen = torch.cat([torch.arange(n_image), phases])
        matrix = jacobian(model, problem).normal_matrix()[:, chosen[:, None], chosen]
        torch.testing.assert_close(matrix, normal_equations.normal_matrix(model, problem))
        gradient = jacobian(model, problem).matched(model.residual)[:, chosen]
        torch.testing.assert_close(gradient, normal_equations.gradient(model, problem))
