"""Perturbed scenes against closed forms and slow loops."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unfolded_ogamp.imaging.perturbations.named import PERTURBATIONS, perturbed_scenes
from unfolded_ogamp.imaging.perturbations.nodes_and_links import LinkGains, Nodes, OutlierLinks, Wall
from unfolded_ogamp.imaging.perturbations.signal import measured
from unfolded_ogamp.imaging.perturbations.targets import Extended, Occluded, foldy_lax
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Scene, noise_free_csi
from unfolded_ogamp.scenes import evaluation_scenes

SCENARIO = Scenario(n_tx=9, n_rx=8, pixels=(10, 10), sparsity=0.08)


def drawn(seed: int = 0) -> tuple[Scene, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    return draw_scene(SCENARIO, 2, generator), generator


def rms(value: Tensor) -> float:
    return float(value.abs().square().mean().sqrt())


@pytest.mark.parametrize(
    "none",
    [Nodes(), OutlierLinks(0.0), Wall(coefficient=0.0), LinkGains(0.0, 0.0), Occluded(0.0)],
    ids=lambda perturbation: type(perturbation).__name__,
)
def test_without_strength_the_csi_is_that_of_the_scene(none) -> None:
    scene, generator = drawn()
    signal = none(scene, generator)
    torch.testing.assert_close(signal.value, noise_free_csi(scene))
    assert not signal.interference.any()
    assert torch.equal(signal.scene.link, scene.link)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_scenes_do_not_depend_on_their_number_and_keep_the_ratio_to_the_noise(name: str) -> None:
    scenario = replace(SCENARIO, snr_db=20.0)
    first, second = (list(perturbed_scenes(scenario, name, count, seed=1)) for count in (2, 1))
    assert torch.equal(first[0][1].value, second[0][1].value)
    assert not torch.equal(first[0][1].value, first[1][1].value)
    (signal, csi), (clean, _) = first[0], next(evaluation_scenes(scenario, 1, 1, 1, torch.float64))
    assert torch.equal(signal.scene.assumed_array.tx, clean.array.tx)
    power = float((signal.value * clean.link[..., None]).abs().square().mean())
    assert 10 * math.log10(power / float(signal.scene.noise_variance)) == pytest.approx(20.0)
    assert csi.noise_variance is not None
    torch.testing.assert_close(csi.noise_variance, signal.scene.noise_variance)


def test_nodes_and_gains_have_the_stated_spread() -> None:
    scene, generator = drawn()
    many = scene[torch.zeros(400, dtype=torch.long)]
    other = Nodes(position_std=0.02, gain_std=3.0)(many, generator).scene.array
    assert rms(other.tx - scene.array.tx[0]) == pytest.approx(0.02, rel=0.05)
    assert other.rx_gain is not None
    assert float((20 * other.rx_gain.log10()).std()) == pytest.approx(3.0, rel=0.05)


def test_outliers_are_three_times_as_strong_and_the_same_on_all_subcarriers() -> None:
    scene, generator = drawn()
    signal = OutlierLinks(0.2)(scene[torch.zeros(200, dtype=torch.long)], generator)
    bad = ~signal.scene.link
    assert float(bad.double().mean()) == pytest.approx(0.2, abs=0.01)
    assert rms(signal.interference[bad]) / rms(signal.value) == pytest.approx(3.0, rel=0.05)
    assert not signal.interference[~bad].any()
    assert torch.equal(signal.interference[..., 0], signal.interference[..., 1])


def test_a_wall_adds_the_paths_over_the_images_of_the_nodes() -> None:
    scene, generator = drawn()
    scene = replace(scene, tx_phase=0 * scene.tx_phase, rx_phase=0 * scene.rx_phase)
    added = Wall(distance=1.5, coefficient=0.3)(scene, generator).value - noise_free_csi(scene)
    side = 10 * float(scene.grid.pixel[0])
    wall = float(scene.grid.centre[0, :, 0].mean()) + 1.5 * side
    tx, rx, wavelength = scene.array.tx[1, 2], scene.array.rx[1, 5], float(scene.array.wavelength[1])
    expected = 0.0 + 0.0j
    for place, strength in zip(scene.position[1], scene.reflectivity[1], strict=True):
        for first, second in ((True, False), (False, True)):
            ends = [node.clone() for node in (tx, rx)]
            for end, seen in zip(ends, (first, second), strict=True):
                end[0] = 2 * wall - end[0] if seen else end[0]
            way = [float((end - place).norm()) for end in ends]
            turn = cmath.exp(-1j * float(scene.array.wavenumber[1, 1]) * sum(way))
            expected += 0.3 * complex(strength) * wavelength / (4 * math.pi) * turn / (way[0] * way[1])
    assert complex(added[1, 2, 5, 1]) == pytest.approx(expected, rel=1e-9)


def test_hidden_targets_are_missing_on_a_third_of_the_links() -> None:
    scene, generator = drawn()
    alone = replace(scene, position=scene.position[:, :1], reflectivity=scene.reflectivity[:, :1])
    signal = Occluded(1 / 3)(alone[torch.zeros(200, dtype=torch.long)], generator)
    clean = noise_free_csi(alone)[0]
    seen = (signal.value[..., 0].abs() > 0).double()
    assert float(seen.mean()) == pytest.approx(2 / 3, abs=0.01)
    torch.testing.assert_close(signal.value, clean * seen[..., None])


def test_extended_targets_have_their_centroid_at_the_truth() -> None:
    """From far away a small group of points is a point at its centroid."""
    generator = torch.Generator().manual_seed(2)
    scene = draw_scene(replace(SCENARIO, node_radius=(50.0, 60.0)), 1, generator)
    small = Extended(smallest=0.002, largest=0.002)(scene, generator)
    assert rms(small.value - noise_free_csi(scene)) < 1e-4 * rms(small.value)
    large = Extended(smallest=0.3, largest=0.3)(scene, generator)
    assert rms(large.value - noise_free_csi(scene)) > 1e-2 * rms(large.value)


def test_two_points_scatter_as_in_closed_form() -> None:
    """u_1 = (t_1 + tau g t_2) / (1 - tau^2 g^2): one link of two points, by hand."""
    scene, _ = drawn()
    position = torch.tensor([[[-0.1, 0.0], [0.2, 0.1]]], dtype=torch.float64).expand(2, -1, -1)
    found = complex(foldy_lax(scene, position, 0.8)[0, 3, 4, 0])
    kappa = float(scene.array.wavenumber[0, 0])

    def wave(first: Tensor, second: Tensor) -> complex:
        distance = float((first - second).norm())
        return cmath.exp(-1j * kappa * distance) / distance

    one, other = position[0]
    tx, rx = scene.array.tx[0, 3], scene.array.rx[0, 4]
    tau, between = 0.8 / (1j * kappa), wave(one, other)
    t, r = [wave(tx, one), wave(tx, other)], [wave(rx, one), wave(rx, other)]
    scale = tau / (1 - (tau * between) ** 2)
    excited = [scale * (t[0] + tau * between * t[1]), scale * (t[1] + tau * between * t[0])]
    constant = float(scene.array.wavelength[0]) / (4 * math.pi)
    assert found == pytest.approx(constant * (excited[0] * r[0] + excited[1] * r[1]), rel=1e-9)


def test_a_resonant_point_scatters_as_much_as_it_takes_from_the_wave() -> None:
    """The optical theorem for the scattering length f of one point: kappa |f|^2 = -Im f, for exp(-j kappa d)."""
    scene, _ = drawn()
    position = torch.tensor([[[0.1, -0.2]]], dtype=torch.float64).expand(2, -1, -1)
    kappa = float(scene.array.wavenumber[0, 0])
    way = [float((node[0, 0] - position[0, 0]).norm()) for node in (scene.array.tx, scene.array.rx)]
    constant = float(scene.array.wavelength[0]) / (4 * math.pi)
    wave = constant * cmath.exp(-1j * kappa * sum(way)) / (way[0] * way[1])
    length = complex(foldy_lax(scene, position, 1.0)[0, 0, 0, 0]) / wave
    assert kappa * abs(length) ** 2 == pytest.approx(-length.imag)


def test_missing_links_stay_missing() -> None:
    generator = torch.Generator().manual_seed(3)
    scene = draw_scene(replace(SCENARIO, missing_links=0.3), 1, generator)
    signal, csi = measured(OutlierLinks(0.2)(scene, generator), scene, generator)
    assert not csi.value[~scene.link].any()
    assert torch.equal(csi.link, scene.link)
    assert bool((signal.scene.link <= scene.link).all())
