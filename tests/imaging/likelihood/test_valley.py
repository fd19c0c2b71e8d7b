"""Slow convergence of alternation: shifts of the image with a tilt of all node phases, and the predicted rate."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import modelled, posed, started
from torch import Tensor

from unfolded_ogamp.bounds.imaging import fisher_information, gauge_directions
from unfolded_ogamp.imaging.likelihood import joint_step, normal_equations
from unfolded_ogamp.imaging.phases import refinement
from unfolded_ogamp.imaging.phases.refinement import NodePhases, SynchronisationSettings
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import Scene, unit_vectors

PAPER = Scenario()
FIT = SynchronisationSettings("alignment", alignment_iterations=100, node_phase="common")


def shifts_with_tilts(scene: Scene) -> Tensor:
    """A shift of all scatterers by 1 m along a coordinate, and node phases that cancel it to first order: [P, D]."""
    n_scatterers, dimension = scene.position.shape[1:]
    middle = torch.zeros(1, 1, dimension, dtype=torch.float64)
    wavenumber = scene.array.wavenumber[0].mean()
    tx, rx = (unit_vectors(nodes, middle)[0, :, :, 0].T for nodes in (scene.array.tx, scene.array.rx))
    shift = torch.eye(dimension, dtype=torch.float64).repeat(n_scatterers, 1)
    reflectivity = torch.zeros(2 * n_scatterers, dimension, dtype=torch.float64)
    return torch.cat([shift, reflectivity, -wavenumber * tx, wavenumber * rx])


@pytest.mark.parametrize("scenario", [PAPER, replace(PAPER, n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.05)])
def test_least_informed_directions_are_shifts_with_tilts(scenario: Scenario) -> None:
    """D eigenvalues, well below all others, with far less information than a shift at known phases."""
    for seed in range(3):
        scene = draw(scenario, 1, torch.Generator().manual_seed(seed))[0]
        fisher, gauge = fisher_information(scene, 0), gauge_directions(scene, 0)
        scale = fisher.diagonal().rsqrt()
        scaled = scale[:, None] * fisher * scale
        value, vector = torch.linalg.eigh(scaled)
        held = gauge.shape[1]
        assert float(value[held - 1]) < 1e-12
        assert float(value[held + 1]) < 0.5 * float(value[held + 2])
        explicit = shifts_with_tilts(scene)
        alone = explicit.clone()
        alone[scene.position[0].numel() :] = 0
        information = [torch.einsum("pd,pq,qd->d", v, fisher, v) for v in (explicit, alone)]
        assert float((information[0] / information[1]).amax()) < 0.5
        null = torch.linalg.qr(gauge / scale[:, None]).Q
        explicit = explicit / scale[:, None]
        explicit = torch.linalg.qr(explicit - null @ (null.T @ explicit)).Q
        correlation = (explicit.T @ vector[:, held : held + 2]).norm(dim=0)
        assert float(correlation.amin()) > 0.9


def maximum_likelihood(seed: int) -> tuple[Problem, Sources]:
    *_, problem, truth = posed(replace(PAPER, n_tx=16, n_rx=16, pixels=(12, 12)), seed=seed)
    state = started(truth, problem)
    for _ in range(20):
        state = joint_step.step(state, problem, torch.ones(1, dtype=torch.bool), largest_move=0.1)
    return problem, state.model.sources


def whitened(matrix: Tensor) -> Tensor:
    """W such that W^T matrix W is the identity, without the null space of the matrix."""
    value, vector = torch.linalg.eigh(matrix)
    seen = value > 1e-9 * value[-1]
    return vector[:, seen] * value[seen].rsqrt()


def coupling_of_image_and_phases(sources: Sources, problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Canonical correlations of image and phases without the gauge, largest first.

    Returns:
        The correlations rho [R], the changes of the node phases that have them [R, nodes], and what reads their share
        of any change of the node phases [R, nodes].
    """
    matrix = normal_equations.normal_matrix(modelled(sources, problem), problem)[0]
    n_image = sources.position.shape[1] * (sources.position.shape[2] + 2)
    image, cross, phase = matrix[:n_image, :n_image], matrix[:n_image, n_image:], matrix[n_image:, n_image:]
    scale = image.diagonal().rsqrt()
    white = whitened(phase)
    coupling = whitened(scale[:, None] * image * scale).T @ (scale[:, None] * cross) @ white
    _, rho, right = torch.linalg.svd(coupling, full_matrices=False)
    assert float(rho[0]) == pytest.approx(1.0)  # all Tx against all reflectivities: the gauge
    change = right[1:] @ white.T
    return rho[1:], change, change @ phase


def alternate(sources: Sources, problem: Problem, phase_step: float) -> Sources:
    """Fit the image at these phases, then the phases, whose change is multiplied by `phase_step`."""
    state = started(sources, problem)
    for _ in range(12):
        state = joint_step.step(state, problem, torch.zeros(1, dtype=torch.bool), largest_move=0.1)
    sources = state.model.sources
    channel = modelled(sources, problem).channel
    tx, rx = sources.tx_phase[..., None], sources.rx_phase[..., None]
    phases = NodePhases(tx, rx, 0 * tx, 0 * rx)
    fitted = refinement.step(problem.csi, channel, problem.link, phases, replace(FIT, phase_step=phase_step))
    return replace(sources, tx_phase=fitted.tx[..., 0], rx_phase=fitted.rx[..., 0])


@pytest.mark.parametrize("phase_step", [1.0, 1.7])
def test_alternation_contracts_by_the_correlation_of_image_and_phases(phase_step: float) -> None:
    """Each phase error shrinks by 1 - phase_step (1 - rho^2), rho its canonical correlation with the image."""
    problem, best = maximum_likelihood(seed=0)
    rho, change, reading = coupling_of_image_and_phases(best, problem)
    assert float(rho[1].square()) > 0.9 > 0.8 > float(rho[2].square())
    n_tx = best.tx_phase.shape[1]
    for index in range(2):
        away = 0.02 * change[index] / change[index].abs().amax()
        moved = replace(best, tx_phase=best.tx_phase + away[:n_tx], rx_phase=best.rx_phase + away[n_tx:])
        after = alternate(moved, problem, phase_step)
        left = torch.cat([after.tx_phase - best.tx_phase, after.rx_phase - best.rx_phase], dim=1)[0]
        left = torch.remainder(left + math.pi, 2 * math.pi) - math.pi
        factor = float(reading[index] @ left) / float(reading[index] @ away)
        assert factor == pytest.approx(1 - phase_step * (1 - float(rho[index]) ** 2), abs=0.01)


def test_joint_steps_converge_much_faster_than_alternation() -> None:
    problem, best = maximum_likelihood(seed=1)
    least = float(modelled(best, problem).cost)
    generator = torch.Generator().manual_seed(2)
    tx, rx = (p + 0.1 * torch.randn(p.shape, generator=generator).double() for p in (best.tx_phase, best.rx_phase))
    start = replace(best, tx_phase=tx, rx_phase=rx)
    state = started(start, problem)
    for _ in range(5):
        state = joint_step.step(state, problem, torch.ones(1, dtype=torch.bool), largest_move=0.1)
    assert float(state.model.cost) == pytest.approx(least, rel=1e-6)
    for _ in range(10):
        start = alternate(start, problem, 1.0)
    assert float(modelled(start, problem).cost) > least * (1 + 1e-3)
