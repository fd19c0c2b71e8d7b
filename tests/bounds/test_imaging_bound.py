"""The joint Cramer-Rao bound against the golden file, finite differences, limits and its invariances."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_made import link_phase_rms, make_scene, star_scene
from places import GOLDEN

from unfolded_ogamp.bounds.imaging import bound_from_information, fisher_information, gauge_directions, joint_bound
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import NodeArray, Scene, distances, los_channel, path_loss, propagation_gain, regular_grid

REFERENCE = np.load(GOLDEN / "joint_bound.npz")


def golden_scene() -> Scene:
    def tensor(name: str) -> torch.Tensor:
        return torch.as_tensor(REFERENCE[name])[None]

    tx, rx = tensor("tx"), tensor("rx")
    phase = torch.cat([tensor("node_phase")[:, :4], torch.zeros(1, 1), tensor("node_phase")[:, 4:]], 1)
    phase = phase[..., None].expand(-1, -1, 2)
    link = torch.ones(1, 4, 3, dtype=torch.bool)
    return Scene(
        array=NodeArray(tx, rx, tensor("frequency"), 299_792_458.0 / tensor("wavelength")),
        grid=regular_grid([3, 3], 0.2, [0.0, 0.0], torch.float64),
        position=tensor("position"),
        reflectivity=tensor("reflectivity") + 0j,
        tx_phase=phase[:, :4],
        rx_phase=phase[:, 4:],
        link=link,
        los=~link,
        noise_variance=tensor("noise_var"),
    )


def fisher_by_differences(scene: Scene, amplitudes_held: bool, step: float = 1e-6) -> torch.Tensor:
    """Fisher matrix [P, P] of the exact CSI at unit noise variance; unknowns as in `fisher_information`."""
    n_scatterers, dimension = scene.position.shape[1:]
    n_tx, n_rx = scene.link.shape[1:]
    held = path_loss(scene.array, scene.position)[..., None, :]

    def csi(theta: torch.Tensor) -> torch.Tensor:
        parts = theta.split([n_scatterers * dimension, n_scatterers, n_scatterers, n_tx, n_rx])
        position = parts[0].reshape(1, n_scatterers, dimension)
        gain = propagation_gain(scene.array, position)
        if amplitudes_held:
            gain = gain * path_loss(scene.array, position)[..., None, :] / held
        channel = (gain * torch.complex(parts[1], parts[2])).sum(-1)
        channel = channel + los_channel(scene.array) * scene.los[..., None]
        phase = parts[3][:, None] - parts[4][None, :]
        channel = channel * torch.polar(torch.ones_like(phase), -phase)[None, ..., None]
        return (channel * scene.link[..., None]).reshape(-1)

    image = [scene.position.reshape(-1), scene.reflectivity.real[0], scene.reflectivity.imag[0]]
    theta = torch.cat([*image, scene.tx_phase[0, :, 0], scene.rx_phase[0, :, 0]])
    steps = step * torch.eye(len(theta), dtype=torch.float64)
    jacobian = torch.stack([(csi(theta + e) - csi(theta - e)) / (2 * step) for e in steps], dim=1)
    return 2 * (jacobian.mH @ jacobian).real


def test_fisher_matrix_and_bounds_of_the_golden_file():
    scene = golden_scene()
    bound = joint_bound(scene, 0)
    keep = [index for index in range(15) if index != 12]  # the golden file has no phase of Rx 0
    fisher = fisher_information(scene, 0)[keep][:, keep] / scene.noise_variance
    golden = torch.as_tensor(REFERENCE["fisher"])
    torch.testing.assert_close(fisher, golden, rtol=1e-6, atol=1e-6 * float(golden.abs().max()) * 1e-2)
    np.testing.assert_allclose(bound.position_std.reshape(-1), REFERENCE["position_bound_joint"], rtol=1e-6)
    np.testing.assert_allclose(
        bound.position_std_known_phase.reshape(-1), REFERENCE["position_bound_known_phase"], rtol=1e-6
    )

    # Golden gauges: Tx 0 and Rx 0 fixed in the joint bound, Rx 0 alone with the image known.
    free = [index for index in range(14) if index != 8]
    joint = torch.linalg.inv(golden[free][:, free])[8:, 8:]
    np.testing.assert_allclose(joint.diagonal().sqrt(), REFERENCE["phase_bound_joint"], rtol=1e-6)
    padded = torch.zeros(6, 6, dtype=torch.float64)
    padded[1:, 1:] = joint
    assert bound.phase_rms == pytest.approx(link_phase_rms(padded, scene.link[0], reference=4), rel=1e-6)
    known_image = torch.linalg.inv(golden[8:, 8:])
    expected = link_phase_rms(known_image, scene.link[0], reference=4)
    assert bound.phase_rms_known_image == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("dimension", "missing", "los"), [(2, 0.0, True), (3, 0.0, False), (3, 0.25, True)])
def test_fisher_matrix_against_finite_differences(dimension, missing, los):
    scene = make_scene(seed=3, dimension=dimension, n_scatterers=2, missing=missing, los=los)
    expected = fisher_by_differences(scene, amplitudes_held=True)
    fisher = fisher_information(scene, 0)
    scale = expected.diagonal().sqrt()
    torch.testing.assert_close(fisher / scale / scale[:, None], expected / scale / scale[:, None], rtol=0, atol=1e-8)


def test_amplitudes_add_next_to_no_information_on_positions():
    """If amplitudes are differentiated too, as in the likelihood, both bounds fall by a thousandth: `joint_bound`."""
    scene = draw_scene(Scenario(), 12, torch.Generator().manual_seed(0))
    ratios = []
    for index in range(12):
        one, held = scene[index : index + 1], joint_bound(scene, index)
        fisher = fisher_by_differences(one, amplitudes_held=False)
        free = bound_from_information(one, 0, fisher, gauge_directions(one, 0))
        ratios.append([free.position_rms / held.position_rms, free.phase_rms / held.phase_rms])
    mean = torch.tensor(ratios, dtype=torch.float64).mean(0)
    torch.testing.assert_close(mean, torch.full_like(mean, 0.999), rtol=0, atol=5e-4)


@pytest.mark.parametrize(("missing", "los"), [(0.0, False), (0.3, False), (0.0, True), (0.3, True)])
def test_bounds_do_not_depend_on_the_node_held(missing, los):
    scene = make_scene(seed=5, n_tx=7, n_rx=6, n_scatterers=2, missing=missing, los=los)
    link = scene.link[0]
    bound = joint_bound(scene, 0)
    fisher = fisher_information(scene, 0) / scene.noise_variance
    n_image = 2 * 4
    for reference in range(13):
        fixed = {n_image + reference}
        if not los:  # the phase between all Tx and all Rx is a gauge as well: fix one node of the other side
            fixed.add(n_image + (9 if reference < 7 else 3))
        free = [index for index in range(len(fisher)) if index not in fixed]
        covariance = torch.zeros_like(fisher)
        rows = torch.tensor(free)
        covariance[rows[:, None], rows] = torch.linalg.inv(fisher[rows[:, None], rows])
        position = covariance.diagonal()[:4].sqrt().reshape(2, 2)
        torch.testing.assert_close(bound.position_std, position, rtol=1e-6, atol=0)
        nodes = [n_image + node for node in range(13) if node != reference]
        expected = link_phase_rms(covariance[nodes][:, nodes], link, reference)
        assert bound.phase_rms == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("los", [False, True])
def test_gauge_directions_are_the_null_space_of_the_fisher_matrix(los):
    scene = make_scene(seed=2, n_tx=6, n_rx=6, n_scatterers=2, los=los)
    link = torch.zeros_like(scene.link)
    link[:, :3, :3] = link[:, 3:5, 3:] = True  # two components, and Tx 5 by itself
    scene = replace(scene, link=link)
    fisher, gauge = fisher_information(scene, 0), gauge_directions(scene, 0)
    assert gauge.shape[1] == (3 if los else 4)
    scale = fisher.diagonal().clamp(min=1e-12).sqrt()
    value = torch.linalg.eigvalsh(fisher / scale / scale[:, None])
    assert (fisher @ gauge).abs().max() < 1e-12 * fisher.abs().max()
    assert int((value < 1e-12).sum()) == gauge.shape[1]


def test_one_scatterer_with_known_phases_has_the_textbook_bound():
    """One scatterer, phases known: position variance from the path gradients after reflectivity is projected out."""
    scene = make_scene(seed=1, n_scatterers=1)
    array, position = scene.array, scene.position
    weight = (scene.reflectivity.abs() / path_loss(array, position)[0, ..., 0]).square()
    step = 1e-6
    gradient = []
    for axis in range(2):
        move = torch.zeros(2, dtype=torch.float64)
        move[axis] = step
        path = [
            distances(array.tx, position + s * move)[0] + distances(array.rx, position + s * move)[0].T for s in (1, -1)
        ]
        gradient.append((path[0] - path[1]) / (2 * step))
    slope = torch.stack([g[..., None] * array.wavenumber[0] for g in gradient], -1).reshape(-1, 2)
    weight = weight[..., None].expand(-1, -1, 2).reshape(-1)
    centred = slope - (weight @ slope) / weight.sum()
    information = 2 / scene.noise_variance * (centred.T * weight) @ centred
    expected = torch.linalg.inv(information).diagonal().sqrt()
    bound = joint_bound(scene, 0)
    torch.testing.assert_close(bound.position_std_known_phase[0], expected, rtol=1e-7, atol=0)
    assert bound.position_rms_known_phase == pytest.approx(float(expected.norm()), rel=1e-7)


def test_more_unknowns_than_equations_is_unbounded():
    scene = make_scene(n_tx=2, n_rx=2, n_scatterers=6)
    bound = joint_bound(scene, 0)
    assert bound.position_rms == bound.phase_rms == bound.position_rms_known_phase == math.inf
    assert bool((bound.position_std == math.inf).all())
    assert 0 < bound.phase_rms_known_image < math.inf  # three phase differences from eight complex numbers


def test_joint_bound_is_above_the_bounds_with_more_knowledge():
    scene = make_scene(seed=4, batch=2, n_tx=12, n_rx=12)
    for index in range(2):
        bound = joint_bound(scene, index)
        assert bool((bound.position_std > bound.position_std_known_phase).all())
        assert bound.phase_rms > bound.phase_rms_known_image


def test_line_of_sight_lowers_the_joint_bound():
    """The line of sight adds no unknowns: it can only add information on the phases."""
    without, within = (joint_bound(make_scene(seed=6, los=los), 0) for los in (False, True))
    assert within.phase_rms < without.phase_rms
    assert within.position_rms < without.position_rms


def test_bound_scales_with_the_noise_and_is_zero_without_any():
    loud, quiet = (make_scene(seed=7, snr_db=snr) for snr in (0.0, 20.0))
    ratio = joint_bound(loud, 0).position_rms / joint_bound(quiet, 0).position_rms
    assert ratio == pytest.approx(10.0, rel=1e-9)
    assert joint_bound(replace(quiet, noise_variance=torch.zeros(1)), 0).phase_rms == 0.0


def test_scene_without_scatterers_has_phases_from_the_line_of_sight_alone():
    """Fisher of link phases 2 |h|^2 / noise at equal |h|: a ring of Rx around one Tx, no projection of the image."""
    scene = star_scene()
    power = float(los_channel(scene.array).abs().square()[0, 0, 0].sum())
    # Four independent link phases of variance noise / (2 power); with their mean removed, three quarters remain.
    expected = math.sqrt(0.75 * float(scene.noise_variance) / (2 * power))
    bound = joint_bound(scene, 0)
    assert bound.phase_rms == pytest.approx(expected, rel=1e-9)
    assert math.isnan(bound.position_rms)
