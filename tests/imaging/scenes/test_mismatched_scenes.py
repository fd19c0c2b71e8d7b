"""Mismatches: the CSI differs from that of the assumed scenes by the stated amount."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unfolded_ogamp.imaging.files.csi import load_csi, save_csi
from unfolded_ogamp.imaging.scenes.perturbed import (
    APART,
    LOSS_EXPONENT,
    MISMATCHES,
    NODE_ERROR,
    mismatched,
    mismatched_scenes,
)
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Scene, measure, nlos_channel, noise_free_csi
from unfolded_ogamp.scenes import evaluation_scenes

ONE = Scenario(n_tx=20, n_rx=20, pixels=(10, 10), sparsity=0.01)  # a single scatterer
MANY = Scenario(n_tx=6, n_rx=5, pixels=(10, 10), sparsity=0.17)
VOLUME = Scenario(n_tx=4, n_rx=4, pixels=(5, 5, 5), node_radius=(1.0, 1.5), sparsity=0.1)


def other_scene(scenario: Scenario, name: str, batch: int) -> tuple[Scene, Scene]:
    """Assumed scenes, and the scenes that are measured."""
    generator = torch.Generator().manual_seed(0)
    scene = draw_scene(scenario, batch, generator)
    return scene, mismatched(scene, MISMATCHES[name], generator)


def mean_power(value: Tensor) -> Tensor:
    return value.abs().square().mean((1, 2, 3))


def test_amplitudes_fall_by_another_power_of_the_distance() -> None:
    scene, other = other_scene(ONE, "loss exponent", 3)
    assert scene.position.shape[1] == 1
    from_tx, to_rx = (torch.cdist(nodes, scene.position)[..., 0] for nodes in (scene.array.tx, scene.array.rx))
    expected = (from_tx[:, :, None] * to_rx[:, None]) ** (1 - LOSS_EXPONENT)
    ratio = noise_free_csi(other) / noise_free_csi(scene)
    torch.testing.assert_close(ratio, expected[..., None].expand(-1, -1, -1, 2).to(ratio))


def test_displaced_nodes_rotate_the_phases_of_paths() -> None:
    """A path is longer by two independent errors along it: E |1 - exp(j k (a + b))|^2 = 2 (1 - exp(-k^2 sigma^2))."""
    scene, other = other_scene(ONE, "node positions", 400)
    assumed, found = noise_free_csi(scene), noise_free_csi(other)
    wavenumber = 2 * math.pi / float(scene.array.wavelength[0])
    expected = 2 * (1 - math.exp(-((wavenumber * NODE_ERROR) ** 2)))
    missed = (found / assumed - 1).abs().square().mean()
    assert float(missed) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("scenario", [MANY, VOLUME, ONE], ids=["plane", "volume", "one"])
def test_every_fifth_scatterer_has_a_neighbour_in_its_pixel(scenario: Scenario) -> None:
    scene, other = other_scene(scenario, "two in a pixel", 50)
    n_scatterers = scene.position.shape[1]
    assert torch.equal(other.position[:, :n_scatterers], scene.position)
    first, second = scene.position[:, ::5], other.position[:, n_scatterers:]
    assert first.shape == second.shape
    distance = (second - first).norm(dim=-1)
    assert float(distance.min()) >= APART * float(scene.array.wavelength[0])
    assert float((second - first).abs().max()) <= scenario.pixel
    pixels = [
        (position[:, :, None] - scene.grid.centre[:, None]).norm(dim=-1).argmin(-1) for position in (first, second)
    ]
    assert torch.equal(*pixels)
    # the neighbour adds an echo as strong as that of the first
    added = nlos_channel(scene.array, second, scene.reflectivity[:, ::5])
    difference = noise_free_csi(other) - noise_free_csi(scene)
    torch.testing.assert_close(mean_power(difference), mean_power(added))


def test_pixels_too_small_for_two_scatterers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pixels must hold two scatterers 0.06 m apart, got pixels of 0.02 m"):
        other_scene(replace(MANY, pixel=0.02), "two in a pixel", 1)


@pytest.mark.parametrize("name", MISMATCHES)
def test_signal_to_noise_ratio_is_kept(name: str) -> None:
    _, other = other_scene(MANY, name, 4)
    ratio = mean_power(noise_free_csi(other)) / other.noise_variance
    torch.testing.assert_close(10 * ratio.log10(), torch.full_like(ratio, MANY.snr_db))


@pytest.mark.parametrize("name", MISMATCHES)
def test_mismatches_use_the_scenes_of_the_evaluation(name: str, tmp_path) -> None:
    ((scene, _),) = evaluation_scenes(MANY, 3, 3, seed=2, dtype=torch.float64)
    found = list(mismatched_scenes(MANY, MISMATCHES[name], 3, seed=2, dtype=torch.float64))
    again = list(mismatched_scenes(MANY, MISMATCHES[name], 1, seed=2, dtype=torch.float64))
    assert torch.equal(again[0][1].value, found[0][1].value)
    assert not torch.equal(found[0][1].value, found[1][1].value)
    for index, (other, csi) in enumerate(found):
        noise = csi.value - noise_free_csi(other)
        assert float(mean_power(noise) / other.noise_variance) == pytest.approx(1, abs=4 / math.sqrt(noise.numel()))
        # its CSI file holds the assumed nodes
        save_csi(tmp_path / "scene.npz", other, csi)
        file = load_csi(tmp_path / "scene.npz")
        assert torch.equal(file.array.tx[0], scene.array.tx[index])
        assert file.array.loss_exponent is None or float(file.array.loss_exponent) == 1
        assert file.truth is not None
        assert torch.equal(file.truth.position, other.position)


def test_assumed_line_of_sight_uses_the_assumed_nodes() -> None:
    generator = torch.Generator().manual_seed(0)
    scene = draw_scene(replace(MANY, los=True), 2, generator)
    assumed = measure(scene, torch.Generator().manual_seed(1))
    csi = measure(mismatched(scene, MISMATCHES["node positions"], generator), torch.Generator().manual_seed(1))
    assert torch.equal(csi.los_channel, assumed.los_channel)
    assert not torch.allclose(csi.value, assumed.value)


def test_band_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="a mismatch needs a scenario without bandwidth, got 1e"):
        mismatched_scenes(replace(MANY, los=True, bandwidth=1e8), MISMATCHES["loss exponent"], 1, seed=0)
