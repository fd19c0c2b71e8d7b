"""What no CSI of an array can show: a mirrored scene, a turned ring, more unknowns than samples."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from faulty_scenes import drawn, flat_array, ring

from unfolded_ogamp.imaging.diagnosis.finding import Severity
from unfolded_ogamp.imaging.diagnosis.geometry import (
    few_samples,
    flat_normal,
    joined_part,
    mirror_image,
    symmetric_array,
)
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import nlos_channel


@pytest.mark.parametrize("seed", range(4))
def test_mirrored_scene_has_the_csi_of_a_flat_array(seed):
    faulty = flat_array(torch.Generator().manual_seed(seed))
    array = faulty.array
    normal = flat_normal(array)
    assert normal is not None
    scene, _ = drawn(torch.Generator().manual_seed(seed), pixels=(7,) * array.tx.shape[-1], node_radius=(1.0, 1.5))
    foot = torch.cat([array.tx, array.rx], dim=1)[0].mean(0)
    image = scene.position - 2 * ((scene.position - foot) @ normal)[..., None] * normal
    one, other = (nlos_channel(array, position, scene.reflectivity) for position in (scene.position, image))
    assert torch.allclose(one, other, rtol=1e-6, atol=1e-9)
    assert len(mirror_image(array, faulty.grid)) == 1


def test_no_mirror_image_in_the_region_beside_a_line_or_of_other_arrays():
    faulty = flat_array(torch.Generator().manual_seed(1))
    normal = flat_normal(faulty.array)
    beside = replace(faulty.grid, centre=faulty.grid.centre + 20 * normal)
    assert mirror_image(faulty.array, beside) == []
    scene, _ = drawn(torch.Generator().manual_seed(0))
    assert flat_normal(scene.array) is None


def test_symmetric_ring_has_the_same_csi_after_the_mistake_that_is_named():
    scene = ring(torch.Generator().manual_seed(0), los=False, n_nodes=8)
    (finding,) = symmetric_array(scene.array)
    assert finding.severity == Severity.LIMIT
    assert "both lists start later, Tx by 1 and Rx by 1" in finding.evidence
    assert "Tx and Rx are swapped and the list of Rx starts 1 later" in finding.evidence
    # the scene turned by one node, with lists that start one node later
    turn = torch.tensor(2 * torch.pi / 8, dtype=torch.float64)
    matrix = torch.stack([torch.stack([turn.cos(), turn.sin()]), torch.stack([-turn.sin(), turn.cos()])])
    own = nlos_channel(scene.array, scene.position, scene.reflectivity)
    turned = nlos_channel(scene.array, scene.position @ matrix, scene.reflectivity)
    assert torch.allclose(turned.roll((-1, -1), (1, 2)), own, rtol=1e-9, atol=1e-12)
    # mirrored, with Tx and Rx swapped: the swapped CSI is that of another scene
    swapped = own.transpose(1, 2)
    mirrored = scene.position * torch.tensor([1.0, -1.0], dtype=torch.float64)
    step = torch.tensor(2 * torch.pi / 16, dtype=torch.float64)
    matrix = torch.stack([torch.stack([step.cos(), step.sin()]), torch.stack([-step.sin(), step.cos()])])
    image = nlos_channel(scene.array, mirrored @ matrix, scene.reflectivity)
    shifts = [image.flip(1).flip(2).roll((i, j), (1, 2)) for i in range(8) for j in range(8)]
    assert any(torch.allclose(moved, swapped, rtol=1e-9, atol=1e-12) for moved in shifts)


def test_random_arrays_are_not_symmetric():
    for seed in range(5):
        scene, _ = drawn(torch.Generator().manual_seed(seed))
        assert symmetric_array(scene.array) == []


@pytest.mark.parametrize(
    ("scenario", "text"),
    [
        # 25 samples, 10 nodes less 2: 4 * 4 = 16 < 25 - 8 <= 20
        (
            Scenario(n_tx=5, n_rx=5, pixels=(8, 8)),
            "25 independent samples (1 of 2 subcarriers are independent), 8 unknown",
        ),
        (Scenario(n_tx=5, n_rx=5, pixels=(8, 8)), "with more than 4 scatterers"),
        # 16 subcarriers over 160 MHz add something, and 3-D has 5 unknowns per scatterer
        (Scenario(n_tx=4, n_rx=4, pixels=(5, 5, 5), node_radius=(1.0, 1.5)), "with more than 1 scatterers"),
    ],
)
def test_number_of_scatterers_that_few_nodes_support(scenario, text):
    scene, csi = scenario.draw(1, torch.Generator().manual_seed(0))
    (finding,) = few_samples(csi, scene.array, scene.grid)
    assert text in finding.evidence


def test_many_nodes_or_a_wide_band_support_many_scatterers():
    for fields in ({"n_tx": 8, "n_rx": 8}, {"n_tx": 5, "n_rx": 5, "n_subcarriers": 8, "subcarrier_spacing": 20e6}):
        scene, csi = Scenario(pixels=(8, 8), **fields).draw(1, torch.Generator().manual_seed(0))
        assert few_samples(csi, scene.array, scene.grid) == []


def test_parts_that_nothing_joins_are_separate():
    link = torch.zeros(4, 5, dtype=torch.bool)
    link[:3, :4] = True
    link[3, 4] = True
    findings, separate = joined_part(link)
    assert "Tx 3 and Rx 4" in findings[0].evidence
    assert separate.nonzero().tolist() == [[3, 4]]
    assert joined_part(link & ~separate)[0] == []
