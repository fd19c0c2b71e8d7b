"""The joint step: its derivatives, its convergence to the bound, and its gauge."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import modelled, posed, started

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.likelihood import joint_step, normal_equations, uncertainty
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources, pad
from unfolded_ogamp.physics import NodeArray, Scene

PLANE = Scenario(name="plane", n_tx=7, n_rx=6, pixels=(6, 6), sparsity=0.1, snr_db=30.0)
MISSING = replace(PLANE, name="missing", missing_links=0.3)
LINE_OF_SIGHT = replace(PLANE, name="line of sight", los=True)
SPACE = replace(PLANE, name="space", pixels=(4, 4, 4), node_radius=(1.0, 1.5), sparsity=0.06)


def with_a_slot(scenario: Scenario, n_scenes: int = 2) -> tuple[Scene, Problem, Sources]:
    """A problem and its true sources, with an unused slot at the end."""
    scene, _, problem, truth = posed(scenario, n_scenes)
    return scene, problem, pad(truth, truth.used.shape[1] + 1)


def cylindrical_array(array: NodeArray) -> NodeArray:
    """The same nodes with cylindrical waves and antennas of different gains."""
    gains = [
        torch.linspace(0.5, 2.0, nodes.shape[1], dtype=torch.float64).expand(len(nodes), -1)
        for nodes in (array.tx, array.rx)
    ]
    exponent = torch.full_like(array.carrier_frequency, 0.5)
    return replace(array, loss_exponent=exponent, tx_gain=gains[0], rx_gain=gains[1])


def complex_sources(sources: Sources) -> Sources:
    """The sources with reflectivities of any phase."""
    phase = (
        2 * math.pi * torch.rand(sources.used.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    )
    return replace(sources, reflectivity=sources.reflectivity * torch.polar(torch.ones_like(phase), phase))


def jacobian(sources: Sources, problem: Problem) -> torch.Tensor:
    """d model / d unknowns in the rotated frame by finite differences of exact exponentials: [B, P, n_tx, n_rx, K]."""
    step, result = 1e-6, []
    size = normal_equations.free_unknowns(sources, sources.used[:, 0]).shape[1]
    zero = sources.position.new_zeros(len(sources.position), size)
    far = torch.full_like(zero[:, 0], math.inf)
    for index in range(size):
        change = zero.clone()
        change[:, index] = step
        ends = []
        for sign in (1, -1):
            moved = joint_step.move(sources, sign * change, far)
            difference = modelled(moved, problem).residual
            ends.append(-difference * moved.rotation.conj() * sources.rotation)
        ends[0] = ends[0] - ends[1]
        result.append(ends[0] / (2 * step))
    return torch.stack(result, dim=1) * problem.link[:, None]


@pytest.mark.parametrize("scenario", [PLANE, MISSING, LINE_OF_SIGHT, SPACE], ids=lambda s: s.name)
@pytest.mark.parametrize("cylindrical", [False, True])
def test_normal_equations_are_those_of_the_jacobian(scenario, cylindrical):
    """Also with cylindrical waves and antenna gains."""
    _, problem, sources = with_a_slot(scenario)
    if cylindrical:
        problem = replace(problem, array=cylindrical_array(problem.array))
    sources = complex_sources(sources)
    model = modelled(sources, problem)
    slopes = jacobian(sources, problem)
    expected = torch.einsum("bpijk,bqijk->bpq", slopes.conj(), slopes).real
    matrix = normal_equations.normal_matrix(model, problem)
    scale = expected.diagonal(dim1=1, dim2=2).clamp(min=1e-12).sqrt()
    assert ((matrix - expected) / (scale[:, :, None] * scale[:, None])).abs().max() < 1e-6
    gradient = normal_equations.gradient(model, problem)
    direct = torch.einsum("bpijk,bijk->bp", slopes.conj(), model.residual).real
    assert ((gradient - direct) / scale).abs().max() < 1e-6 * float(direct.abs().max())


@pytest.mark.parametrize("scenario", [PLANE, SPACE], ids=lambda s: s.name)
def test_gram_of_products_is_that_of_the_columns(scenario):
    _, problem, sources = with_a_slot(scenario)
    columns = modelled(sources, problem).columns
    with_all = columns.gram(problem.link)
    almost_all = problem.link.clone()
    almost_all[:, 0, 0] = 0  # a missing link: the Gram matrix is then computed from dense columns
    lost = torch.zeros_like(problem.link)
    lost[:, 0, 0] = 1
    written_out = columns.gram(almost_all) + columns.gram(lost)
    torch.testing.assert_close(with_all, written_out, rtol=1e-9, atol=1e-9 * float(with_all.abs().max()))


def test_reaches_the_joint_bound_from_beside_the_truth():
    scenario = replace(PLANE, n_tx=14, n_rx=14, pixels=(10, 10), sparsity=0.04)
    scene, problem, sources = with_a_slot(scenario, n_scenes=60)
    generator = torch.Generator().manual_seed(1)

    def near(value: torch.Tensor, spread: float) -> torch.Tensor:
        return value + spread * torch.randn(value.shape, generator=generator, dtype=value.dtype)

    start = replace(
        sources,
        position=near(sources.position, 0.005),
        tx_phase=near(sources.tx_phase, 0.05),
        rx_phase=near(sources.rx_phase, 0.05),
    )
    state = started(start, problem)
    for _ in range(30):
        state = joint_step.step(state, problem, torch.ones(60, dtype=torch.bool), largest_move=0.1)
    error = (state.model.sources.position - sources.position)[:, :-1].square().sum(-1).mean(1)
    bound = torch.tensor([joint_bound(scene, index).position_rms for index in range(60)])
    assert float((error / bound.square()).mean()) == pytest.approx(1.0, abs=0.15)
    noise = scene.noise_variance / problem.unit.square()
    variance = uncertainty.uncertainty(state.model, problem).position.diagonal(dim1=2, dim2=3)
    std = (variance * noise[:, None, None]).sqrt()
    expected = torch.stack([joint_bound(scene, index).position_std for index in range(60)])
    torch.testing.assert_close(std[:, :-1].mean(), expected.mean(), rtol=0.05, atol=0)


def test_unused_slots_and_held_phases_do_not_move():
    _, problem, sources = with_a_slot(PLANE)
    start = replace(sources, position=sources.position + 0.003)
    state = joint_step.step(started(start, problem), problem, torch.tensor([True, False]), largest_move=0.1)
    moved = state.model.sources
    assert torch.equal(moved.position[:, -1], start.position[:, -1])
    assert float(moved.reflectivity[:, -1].abs().max()) == 0
    assert torch.equal(moved.tx_phase[1], start.tx_phase[1])
    assert not torch.equal(moved.tx_phase[0], start.tx_phase[0])


def test_positions_of_unused_slots_have_no_effect():
    _, problem, sources = with_a_slot(PLANE)
    for place in (problem.array.tx[:, :1], problem.array.rx[:, -1:], problem.grid.centre[:, :1]):
        position = torch.cat([sources.position[:, :-1], place], dim=1)
        elsewhere = replace(sources, position=position)
        torch.testing.assert_close(modelled(elsewhere, problem).cost, modelled(sources, problem).cost)
        plain, moved = (
            joint_step.step(started(s, problem), problem, s.used[:, 0], 0.1).model.sources for s in (sources, elsewhere)
        )
        torch.testing.assert_close(moved.position[:, :-1], plain.position[:, :-1])


def test_cost_never_rises_and_moves_are_limited():
    _, problem, sources = with_a_slot(PLANE)
    state = started(replace(sources, position=sources.position + 0.06), problem)
    for _ in range(10):
        new = joint_step.step(state, problem, torch.ones(2, dtype=torch.bool), largest_move=0.05)
        assert bool((new.model.cost <= state.model.cost).all())
        leap = (new.model.sources.position - state.model.sources.position).norm(dim=-1).amax(1)
        assert bool((leap <= 0.05 * problem.array.wavelength + 1e-12).all())
        state = new


def test_uncertainty_is_the_inverse_of_the_information():
    """With a line of sight the gauge is the common phase only, which the pseudo-inverse removes."""
    _, problem, sources = with_a_slot(LINE_OF_SIGHT)
    sources = complex_sources(sources)
    matrix = normal_equations.normal_matrix(modelled(sources, problem), problem)
    n_slots, dimension = sources.position.shape[1:]
    in_play = normal_equations.free_unknowns(sources, torch.ones(2, dtype=torch.bool))
    scale = torch.where(in_play, matrix.diagonal(dim1=1, dim2=2), torch.inf).rsqrt()
    scaled = scale[:, :, None] * matrix * scale[:, None]
    covariance = scale[:, :, None] * torch.linalg.pinv(scaled, rtol=1e-10, hermitian=True) * scale[:, None] / 2
    known = uncertainty.uncertainty(modelled(sources, problem), problem)
    position = known.position.diagonal(dim1=2, dim2=3)
    for slot in range(n_slots - 1):
        x = n_slots * dimension + slot
        along = sources.reflectivity[:, slot] / sources.reflectivity[:, slot].abs()
        direction = torch.stack([along.real, along.imag], dim=1)
        block = covariance[:, [x, x + n_slots]][:, :, [x, x + n_slots]]
        expected = torch.einsum("bi,bij,bj->b", direction, block, direction)
        torch.testing.assert_close(known.amplitude[:, slot], expected, rtol=1e-3, atol=0)
        for axis in range(dimension):
            index = axis * n_slots + slot
            torch.testing.assert_close(position[:, slot, axis], covariance[:, index, index], rtol=1e-3, atol=0)
        mixed = covariance[:, slot, n_slots + slot]
        torch.testing.assert_close(
            known.position[:, slot, 0, 1], mixed, rtol=1e-3, atol=1e-3 * float(mixed.abs().max())
        )
    phases = covariance[:, n_slots * (dimension + 2) :, n_slots * (dimension + 2) :]
    link, n_tx = problem.link[..., 0], problem.link.shape[1]
    mean = torch.zeros_like(phases)
    mean[:, :n_tx, :n_tx] = (link.sum(2) / link.sum((1, 2))[:, None])[:, None]
    mean[:, n_tx:, n_tx:] = (link.sum(1) / link.sum((1, 2))[:, None])[:, None]
    rest = torch.eye(phases.shape[1]).double() - mean
    expected = (rest @ phases @ rest.mT).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(torch.cat([known.tx_phase, known.rx_phase], 1), expected, rtol=1e-3, atol=0)
