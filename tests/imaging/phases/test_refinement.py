"""Synchronisation refinement: the projection of the paper, and maximum-likelihood alignment."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from unfolded_ogamp.imaging.phases.refinement import (
    NodePhases,
    RefinementParameters,
    SynchronisationSettings,
    correlation,
    project,
    step,
)
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.inference.node_phases import align
from unfolded_ogamp.physics import incidence_matrix, link_phase, link_phase_error, measure, nlos_channel

ALIGNMENT = SynchronisationSettings("alignment", 200, node_phase="common", phase_step=1.0)
FULL = RefinementParameters(phase_step=1.0, momentum=0.0)


def test_projection_agrees_with_the_reference(golden_signal_model: dict[str, np.ndarray]) -> None:
    golden = {key: torch.from_numpy(np.asarray(value)) for key, value in golden_signal_model.items()}
    phases = golden["link_phase"].reshape(1, 4, 3, 1)
    tx, rx = project(phases, torch.ones(1, 4, 3, 1, dtype=torch.float64))
    torch.testing.assert_close(link_phase(tx, rx).flatten(), golden["link_phase_projected"], rtol=1e-10, atol=1e-12)
    nodes = torch.cat([tx, rx], 1)[0, :, 0]
    nodes = nodes - nodes[4]  # the reference fixes Rx 0
    kept = torch.cat([nodes[:4], nodes[5:]])
    torch.testing.assert_close(kept, golden["node_phase_ls"], rtol=1e-10, atol=1e-12)


def test_projection_with_missing_links_is_least_squares_on_the_incidence_matrix() -> None:
    generator = torch.Generator().manual_seed(1)
    link = torch.rand(5, 6, generator=generator) < 0.6
    phases = torch.randn(1, 5, 6, 1, dtype=torch.float64, generator=generator)
    tx, rx = project(phases, link[None, ..., None].double())
    matrix = incidence_matrix(link, reference=0)
    nodes = torch.linalg.lstsq(matrix, phases[0, ..., 0][link][:, None]).solution
    torch.testing.assert_close(link_phase(tx, rx)[0, ..., 0][link], (matrix @ nodes)[:, 0], rtol=1e-9, atol=1e-9)


def noisy_links(link_std: float, seed: int) -> tuple[torch.Tensor, ...]:
    """Scene phases far beyond wrapping, the true reference channel, and noisy CSI."""
    scenario = Scenario(n_tx=12, n_rx=10, pixels=(10, 10), phase_model="uniform", missing_links=0.3, snr_db=20)
    scene, csi = draw(replace(scenario, phase_std=link_std), 4, torch.Generator().manual_seed(seed))
    reference = nlos_channel(scene.array, scene.position, scene.reflectivity)
    true = link_phase(scene.tx_phase, scene.rx_phase)
    return scene, csi, reference, true


def test_alignment_finds_uniform_phases_where_the_projection_wraps() -> None:
    scene, csi, reference, true = noisy_links(0.0, seed=2)
    link = scene.link[..., None].double()
    zero = NodePhases.zero(link, 1)
    phases = step(csi.value, reference, link, zero, ALIGNMENT, FULL)
    aligned = link_phase_error(link_phase(phases.tx, phases.rx).expand_as(true), true, scene.link).abs().max()
    least_squares = SynchronisationSettings("least_squares", node_phase="common")
    phases = step(csi.value, reference, link, zero, least_squares, FULL)
    projected = link_phase_error(link_phase(phases.tx, phases.rx).expand_as(true), true, scene.link).abs().max()
    assert aligned < 0.2
    assert projected > 1.0


def test_alignment_is_a_stationary_point_of_the_likelihood() -> None:
    scene, csi, reference, _ = noisy_links(0.0, seed=3)
    product = correlation(csi.value, reference, scene.link[..., None].double()).sum(-1, keepdim=True)
    product = product / product.abs().amax((1, 2, 3), keepdim=True)
    tx, rx = align(product, torch.ones_like(product[:, :, 0]), torch.ones_like(product[:, 0]), 2000)
    tx_phase, rx_phase = tx.angle().requires_grad_(), rx.angle().requires_grad_()
    phase = link_phase(tx_phase, rx_phase)
    likelihood = (product * torch.complex(phase.cos(), phase.sin())).real.sum()
    for gradient in torch.autograd.grad(likelihood, (tx_phase, rx_phase)):
        assert gradient.abs().max() < 1e-8


def test_no_alternation_lowers_the_likelihood() -> None:
    scene, csi, reference, _ = noisy_links(0.0, seed=6)
    product = correlation(csi.value, reference, scene.link[..., None].double()).sum(-1, keepdim=True)
    tx, rx = torch.ones_like(product[:, :, 0]), torch.ones_like(product[:, 0])
    last = product.real.sum((1, 2, 3))
    rises = []
    for _ in range(30):
        tx, rx = align(product, tx, rx, 1)
        likelihood = (tx[:, :, None] * product * rx[:, None].conj()).real.sum((1, 2, 3))
        rises.append(likelihood / last.abs() - last / last.abs())
        last = likelihood
    assert float(torch.stack(rises).amin()) > -1e-12
    assert float(rises[0].amin()) > 0.1


def test_without_noise_both_methods_recover_small_phases_exactly() -> None:
    scenario = Scenario(n_tx=6, n_rx=7, pixels=(8, 8), phase_std=0.3, missing_links=0.2)
    scene, _ = draw(scenario, 2, torch.Generator().manual_seed(4))
    reference = nlos_channel(scene.array, scene.position, scene.reflectivity)
    true = link_phase(scene.tx_phase, scene.rx_phase)
    csi = reference * torch.complex(true.cos(), -true.sin())
    link = scene.link[..., None].double()
    for settings in (ALIGNMENT, SynchronisationSettings("least_squares", node_phase="common")):
        phases = step(csi, reference, link, NodePhases.zero(link, 1), settings, FULL)
        error = (link_phase(phases.tx, phases.rx) - true) * link
        assert error.abs().max() < 1e-6, settings.method


def test_phase_and_delay_of_every_node_from_scattering_alone() -> None:
    """Many subcarriers and clocks that are off: phase and delay come out on the closed-form bound, links missing.

    Counted from the mean frequency, phases and delays do not mix where the channel is as strong on all subcarriers;
    what mixes is in the bound, from the Fisher matrix of both.
    """
    scenario = Scenario(n_tx=8, n_rx=9, pixels=(10, 10), n_subcarriers=16, snr_db=20.0, missing_links=0.2)
    scene, _ = draw(scenario, 1, torch.Generator().manual_seed(7))
    scene = scene[torch.zeros(200, dtype=torch.long)]
    generator = torch.Generator().manual_seed(8)
    number = torch.arange(16) - 8.0
    tx, rx = (
        (
            0.6 * torch.randn(200, n, 1, generator=generator)
            + 0.02 * torch.randn(200, n, 1, generator=generator) * number
        )
        for n in (8, 9)
    )
    csi = measure(replace(scene, tx_phase=tx.double(), rx_phase=rx.double()), generator)
    reference = nlos_channel(scene.array, scene.position, scene.reflectivity)
    link = scene.link[..., None].double()
    settings = replace(ALIGNMENT, node_phase="with_delay")
    phases = NodePhases.zero(link, settings.n_phases(16))
    for _ in range(3):
        phases = step(csi.value, reference, link, phases, settings, FULL)
    error = link_phase(phases.tx, phases.rx) - link_phase(tx, rx)
    error = (torch.remainder(error + math.pi, 2 * math.pi) - math.pi)[scene.link]

    incidence = incidence_matrix(scene.link[0], reference=0)
    weight = 2 * reference[0][scene.link[0]].abs().square() / scene.noise_variance[0]
    jacobian = torch.stack([torch.cat([incidence, n * incidence], dim=1) for n in number.double()], dim=1)
    fisher = torch.einsum("lkp,lk,lkq->pq", jacobian, weight, jacobian)
    variance = torch.einsum("lkp,pq,lkq->lk", jacobian, torch.linalg.inv(fisher), jacobian)
    measured = error.reshape(200, -1, 16).square().mean(0)
    assert float((measured.mean() / variance.mean()).sqrt()) == pytest.approx(1.0, abs=0.05)


def test_phase_step_scales_the_correction_and_momentum_repeats_the_last_move() -> None:
    """Erratum 3: k_phi multiplies the correction of the phase, not the matrix of phasors."""
    scene, csi, reference, _ = noisy_links(0.0, seed=5)
    link = scene.link[..., None].double()
    zero = NodePhases.zero(link, 1)
    start = replace(zero, tx=zero.tx + 0.1, tx_move=zero.tx + 0.2, rx_move=zero.rx - 0.4)
    full = step(csi.value, reference, link, start, ALIGNMENT, FULL)
    part = step(csi.value, reference, link, start, ALIGNMENT, RefinementParameters(0.3, 0.5))
    torch.testing.assert_close(part.tx_move, 0.3 * full.tx_move + 0.5 * 0.2)
    torch.testing.assert_close(part.rx_move, 0.3 * full.rx_move - 0.5 * 0.4)
    for phase, origin, move in ((part.tx, start.tx, part.tx_move), (part.rx, start.rx, part.rx_move)):
        turned = phase - origin - move
        torch.testing.assert_close(turned, 2 * math.pi * (turned / (2 * math.pi)).round())


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="method must be one of least_squares, alignment, got 'magic'"):
        SynchronisationSettings(method="magic")
    with pytest.raises(ValueError, match=r'method must be "alignment" for node phases with a delay, got "least_sq'):
        SynchronisationSettings(node_phase="with_delay")
    with pytest.raises(ValueError, match=r"phase_step must lie in \(0, 2\), got 2\.5"):
        SynchronisationSettings(phase_step=2.5)
