"""Corrections for extended targets and near fields, against plain loops and closed forms."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace

import torch
from problems import modelled, posed

from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.mismatch import correction, line_of_sight
from unfolded_ogamp.imaging.model import Correction, Model, evaluate, power
from unfolded_ogamp.imaging.phases.refinement import initial_phases
from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources, pad
from unfolded_ogamp.physics import Csi, Scene, link_phase, link_phase_error, link_phasor

PLANE = Scenario(name="plane", n_tx=9, n_rx=8, pixels=(8, 8), sparsity=0.05, snr_db=300.0)


def with_any_phases(sources: Sources) -> Sources:
    """The sources with reflectivities of magnitude one and any phase."""
    turns = torch.rand(sources.used.shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    return replace(sources, reflectivity=torch.polar(torch.ones_like(turns), 2 * math.pi * turns))


def test_multipoles_and_double_scattering_agree_with_loops():
    scene, _, problem, truth = posed(PLANE, 2, seed=0)
    sources = with_any_phases(truth)
    model = modelled(sources, problem)
    columns, second = correction.multipoles(model, problem), correction.second_echoes(model, problem)
    tx, rx, place = scene.array.tx[0], scene.array.rx[0], scene.position[0]
    wavenumber, scale = float(scene.array.wavenumber[0, 1]), float(problem.dictionary_scale[0])
    constant = float(scene.array.wavelength[0]) / (4 * math.pi) / scale

    def wave(start: torch.Tensor, end: torch.Tensor) -> complex:
        length = float((end - start).norm())
        return cmath.exp(-1j * wavenumber * length) / length

    for i, j in ((0, 0), (3, 5), (8, 7)):
        total = 0j
        for s in range(len(place)):
            echo = constant * wave(tx[i], place[s]) * wave(place[s], rx[j])
            to_tx, to_rx = tx[i] - place[s], rx[j] - place[s]
            angle = math.acos(float(to_tx @ to_rx / (to_tx.norm() * to_rx.norm())))
            for order in range(1 + correction.ORDERS):
                assert abs(complex(columns[0, i, j, 1, s, order]) - echo * math.cos(order * angle)) < 1e-9
            for t in range(len(place)):
                if t != s:
                    both = complex(sources.reflectivity[0, s] * sources.reflectivity[0, t])
                    over = wave(tx[i], place[s]) * wave(place[s], place[t]) * wave(place[t], rx[j])
                    total += constant * both * over
        assert abs(complex(second[0, i, j, 1]) - total) < 1e-9 * abs(total) + 1e-12


def test_near_field_of_antennas_beside_sources_agrees_with_loops():
    """The factors 1 + a u + b u^2 of both ways, u = 1 / (kappa d): terms of a, of b and of the product of both a."""
    scene, _, problem, truth = posed(PLANE, 2, seed=6)
    sources = with_any_phases(truth)
    model = modelled(sources, problem)
    found = correction.near_field_echoes(model, problem)
    point = correction.multipoles(model, problem)[..., 0]  # of every source
    wavenumber = float(scene.array.wavenumber[1, 1])
    for i, j in ((0, 0), (3, 5), (8, 7)):
        expected = torch.zeros(3, dtype=torch.complex128)
        for s in range(sources.used.shape[1]):
            before, after = (
                1 / (wavenumber * float((node - scene.position[1, s]).norm()))
                for node in (scene.array.tx[1, i], scene.array.rx[1, j])
            )
            terms = torch.tensor([before + after, before**2 + after**2, before * after], dtype=torch.float64)
            expected += sources.reflectivity[1, s] * point[1, i, j, 1, s] * terms
        torch.testing.assert_close(found[1, i, j, 1], expected)


def extended(problem: Problem, sources: Sources) -> Problem:
    """The problem of targets with the directivity 1 + 0.4 cos(beta) - 0.2 cos(2 beta)."""
    model = modelled(sources, problem)
    columns = correction.multipoles(model, problem)
    series = columns @ torch.tensor([1.0, 0.4, -0.2], dtype=columns.dtype)
    channel = (series * sources.reflectivity[:, None, None, None]).sum(-1)
    channel = channel + 0.03 * correction.second_echoes(model, problem)
    return replace(problem, csi=channel * sources.rotation.conj())


def assumed_extended(sources: Sources, problem: Problem, where: torch.Tensor) -> Model:
    return evaluate(sources, problem, replace(Correction.none(problem), extended=where))


def test_the_fit_recovers_multipoles_of_extended_targets():
    _, _, problem, truth = posed(PLANE, 2, seed=1)
    sources = with_any_phases(truth)
    problem = extended(problem, sources)
    fitted = correction.refit(assumed_extended(sources, problem, torch.tensor([True, False])), problem)
    torch.testing.assert_close(fitted.sources.reflectivity, sources.reflectivity, rtol=1e-4, atol=1e-5)
    cost = fitted.cost / power(problem.csi)
    assert cost[0] < 1e-9 < 1e-3 < cost[1]
    assert fitted.correction.count.tolist() == [2 * (correction.ORDERS * sources.used.shape[1] + 1), 0]
    assert not fitted.correction.channel[1].any()
    more = pad(sources, sources.used.shape[1] + 2)
    again = correction.refit(assumed_extended(more, problem, torch.tensor([True, False])), problem)
    torch.testing.assert_close(again.correction.channel, fitted.correction.channel)
    assert torch.equal(again.correction.count, fitted.correction.count)


def test_steps_converge_to_the_truth():
    """Positions and phases converge in a few steps; without the projection they need many."""
    scene, _, problem, truth = posed(replace(PLANE, n_tx=16, n_rx=16), 2, seed=2)
    sources = with_any_phases(truth)
    problem, everywhere = extended(problem, sources), torch.tensor([True, True])
    noise = torch.Generator().manual_seed(3)
    start = replace(
        sources,
        position=sources.position + 0.004 * torch.randn(sources.position.shape, generator=noise, dtype=torch.float64),
        tx_phase=sources.tx_phase + 0.05 * torch.randn(2, 16, generator=noise, dtype=torch.float64),
    )
    state = joint_step.init(correction.refit(assumed_extended(start, problem, everywhere), problem))
    for _ in range(15):
        state = correction.step(state, problem, everywhere, largest_move=0.1)
    assert (state.model.cost / power(problem.csi)).max() < 1e-10
    assert (state.model.sources.position - scene.position).norm(dim=-1).max() < 1e-4


def near_antennas(scene: Scene, csi: Csi) -> Csi:
    """The line of sight of dipoles perpendicular to the plane, in place of that of free space."""
    distance = torch.cdist(scene.array.tx, scene.array.rx)[..., None] * scene.array.wavenumber[:, None, None]
    field = csi.los_channel * (1 + 1 / (1j * distance) - 1 / distance.square())
    turned = torch.polar(torch.ones_like(scene.tx_phase[:, :, None]), -link_phase(scene.tx_phase, scene.rx_phase))
    return replace(csi, value=field * turned)


def test_near_field_of_dipoles_is_found_from_the_line_of_sight():
    """Phases and channel are exact; the free-space line of sight causes phase errors of a tenth of a radian."""
    scene, csi, _, _ = posed(replace(PLANE, los=True), 2, seed=4)
    problem = pose(near_antennas(scene, csi), scene.array, scene.grid, None)
    before = initial_phases(problem)
    found, after = line_of_sight.fit_near_field(problem, before)
    assert found.near_field.all()
    true = link_phase(scene.tx_phase, scene.rx_phase)[..., :1]
    errors = [link_phase_error(link_phase(p.tx, p.rx), true, csi.link).abs().max() for p in (before, after)]
    assert errors[1] < 1e-5 < 1e-2 < errors[0]
    left = problem.csi * link_phasor(after.tx, after.rx) - problem.los - found.channel
    assert power(left).max() < 1e-9 * power(problem.csi).min()


def test_a_correct_or_measured_line_of_sight_is_not_corrected():
    scene, csi, _, _ = posed(replace(PLANE, los=True), 2, seed=5)
    direct = replace(csi, value=near_antennas(scene, csi).value)
    plain = torch.polar(torch.ones_like(scene.tx_phase[:, :, None]), -link_phase(scene.tx_phase, scene.rx_phase))
    gain = 1 + 0.1 * torch.rand(2, 9, 8, 1, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    measured = replace(direct, los_channel=gain * csi.los_channel)
    for seen in (replace(csi, value=3 * csi.los_channel * plain, los_channel=3 * csi.los_channel), measured):
        problem = pose(seen, scene.array, scene.grid, None)
        generator = torch.Generator().manual_seed(7)
        noise = 1e-3 * torch.view_as_complex(torch.randn(*problem.csi.shape, 2, generator=generator).double())
        problem = replace(problem, csi=problem.csi + noise * problem.csi.abs().mean())
        found, _ = line_of_sight.fit_near_field(problem, initial_phases(problem))
        assert not found.near_field.any()
        assert not found.channel.any()
