"""Draws follow the distributions of the scenario."""

from __future__ import annotations

import math

import pytest
import torch

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.imaging.scenes.sampler import draw, draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import is_connected


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


VOLUME = Scenario(n_tx=2, n_rx=2, pixels=(5, 4, 6), node_radius=(1.0, 1.5), sparsity=0.1)


@pytest.mark.parametrize("scenario", [Scenario(n_tx=2, n_rx=2), VOLUME])
def test_scatterers_are_uniform_in_pixels_of_their_own(scenario, generator):
    scene = draw_scene(scenario, 300, generator)
    offset = scene.position[:, :, None] - scene.grid.centre[:, None]
    distance, pixel = offset.abs().amax(-1).min(-1)
    assert scene.position.shape[1] == round(scenario.sparsity * math.prod(scenario.pixels))
    assert distance.max() <= scenario.pixel / 2
    assert all(len(set(row)) == len(row) for row in pixel.tolist())

    own = offset.gather(2, pixel[..., None, None].expand(-1, -1, 1, scenario.dimension)) / scenario.pixel
    assert abs(own.mean()) < 4 / math.sqrt(12 * own.numel())
    assert own.square().mean() == pytest.approx(1 / 12, rel=4 / math.sqrt(own.numel()))
    hits = torch.bincount(pixel.flatten(), minlength=scene.grid.centre.shape[1]).double()
    expected = pixel.numel() / len(hits)
    assert ((hits - expected).square() / expected).mean() == pytest.approx(1, abs=0.5)  # chi-square per pixel


def test_scatterers_on_the_grid(generator):
    scene = draw_scene(Scenario(off_grid=False), 3, generator)
    distance = (scene.position[:, :, None] - scene.grid.centre[:, None]).norm(dim=-1).amin(-1)
    assert distance.max() == 0


def test_reflectivity_is_one_less_a_half_normal(generator):
    reflectivity = draw_scene(Scenario(n_tx=2, n_rx=2, reflectivity_std=0.2), 500, generator).reflectivity
    lost = 1 - reflectivity.real
    assert reflectivity.imag.abs().max() == 0
    assert lost.min() > 0
    assert lost.mean() == pytest.approx(0.2 * math.sqrt(2 / math.pi), rel=0.04)
    assert lost.square().mean() == pytest.approx(0.04, rel=0.06)


def test_nodes_and_subcarriers(generator):
    scene = draw_scene(Scenario(n_tx=3, n_rx=4, n_subcarriers=3, pixels=(10, 20), pixel=0.1), 50, generator)
    radius = torch.cat([scene.array.tx, scene.array.rx], 1).norm(dim=-1)
    assert 0.75 * 2.0 <= radius.min() < 0.8 * 2.0
    assert 1.2 * 2.0 < radius.max() <= 1.25 * 2.0
    assert scene.array.frequency[7].tolist() == [1e9, 1e9 + 120e3, 1e9 + 240e3]
    assert scene.array.carrier_frequency[7] == 1e9


@pytest.mark.parametrize(("pixels", "room"), [((20, 10), (6.0, 4.0)), ((10, 5, 5), (3.0, 2.0, 4.0))])
def test_nodes_in_a_room_are_uniform_outside_the_region(pixels, room, generator):
    scene = draw_scene(Scenario(n_tx=20, n_rx=20, pixels=pixels, room=room, sparsity=0.0), 100, generator)
    nodes = torch.cat([scene.array.tx, scene.array.rx], 1).flatten(0, 1)
    walls, region = torch.tensor(room).double(), 0.2 * torch.tensor(pixels).double()
    assert (nodes.abs() <= walls / 2).all()
    assert (nodes.abs() > region / 2).any(-1).all()
    volume = walls.prod() - region.prod()
    assert (nodes.mean(0).abs() < 4 * walls / math.sqrt(12 * len(nodes)) * 1.3).all()
    # the part of the room beyond the region along the first coordinate holds its share of the nodes
    expected = float((walls[0] - region[0]) * walls[1:].prod() / volume)
    share = float((nodes[:, 0].abs() > region[0] / 2).double().mean())
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / len(nodes)))


def test_residual_phase_is_the_same_on_all_subcarriers(generator):
    scene = draw_scene(Scenario(n_tx=2, n_rx=2, n_subcarriers=3, phase_std=0.5), 400, generator)
    assert torch.equal(scene.tx_phase[..., 0], scene.tx_phase[..., 2])
    link = scene.tx_phase[:, 0, 0] - scene.rx_phase[:, 0, 0]
    assert link.std() == pytest.approx(0.5, rel=4 / math.sqrt(2 * 400))


def test_uniform_phases_without_synchronisation(generator):
    scene = draw_scene(Scenario(phase_model="uniform", sparsity=0.0), 100, generator)
    phases = torch.cat([scene.tx_phase, scene.rx_phase], 1)[..., 0].flatten()
    assert abs(torch.exp(1j * phases).mean()) < 4 / math.sqrt(len(phases))


def test_share_of_blocked_nodes(generator):
    scene = draw_scene(Scenario(n_tx=20, phase_model="blocked", phase_std=0.0, sparsity=0.0), 200, generator)
    blocked = torch.cat([scene.tx_phase, scene.rx_phase], 1)[..., 0] != 0
    assert torch.all(blocked.sum(-1) == 15)  # 30 % of 50 nodes, the others have no phase error here
    assert blocked[:, :20].double().mean() == pytest.approx(0.3, abs=0.03)


def test_links_form_one_connected_network(generator):
    scene = draw_scene(Scenario(n_tx=4, n_rx=4, missing_links=0.5), 400, generator)
    assert torch.all(is_connected(scene.link))
    assert torch.all(scene.link.sum((-2, -1)) == 8)
    share = scene.link.double().mean(0)
    assert (share - 0.5).abs().max() < 4 * 0.5 / math.sqrt(400)


def test_a_network_that_is_never_connected_is_an_error(generator):
    with pytest.raises(InputError, match=r"no connected network in 1000 draws with missing_links = 0\.93"):
        draw_scene(Scenario(missing_links=0.93), 1, generator)


def test_line_of_sight_on_measured_links(generator):
    scene, csi = draw(Scenario(n_tx=4, n_rx=5, missing_links=0.3, los=True), 2, generator)
    assert torch.equal(scene.los, scene.link)
    assert torch.equal(csi.los_trusted, scene.link)
    assert not draw_scene(Scenario(), 1, generator).los.any()


def test_share_of_blocked_lines_of_sight(generator):
    scene = draw_scene(Scenario(n_tx=5, n_rx=8, los=True, blocked_los=0.3), 400, generator)
    assert torch.all(scene.los.sum((-2, -1)) == 28)
    assert scene.link.all()
    assert (scene.los.double().mean(0) - 0.7).abs().max() < 4 * math.sqrt(0.3 * 0.7 / 400)


def test_band_lies_around_the_carrier(generator):
    scenario = Scenario(n_tx=2, n_rx=2, phase_model="clocks", los=True, bandwidth=1.2e6)
    scene = draw_scene(scenario, 50, generator)
    frequency = scene.array.frequency[0]
    assert ((frequency - 1e9) / 120e3).tolist() == pytest.approx(list(range(-5, 5)))
    assert torch.all(scene.array.carrier_frequency == 1e9)


def test_clock_phases_are_linear_over_the_band_and_uniform(generator):
    """(4)-(5): the phase of a node changes by 2 pi df dt per subcarrier; both are uniformly distributed."""
    scenario = Scenario(n_tx=20, n_rx=20, phase_model="clocks", los=True, bandwidth=1.2e6, sparsity=0.0)
    scene = draw_scene(scenario, 100, generator)
    phase = torch.cat([scene.tx_phase, scene.rx_phase], 1)
    turn = torch.exp(1j * phase.diff(dim=-1))
    torch.testing.assert_close(turn[..., 1:], turn[..., :-1], rtol=0, atol=1e-6)
    for phasor in (turn[..., 0], torch.exp(1j * phase[..., 0]), torch.exp(1j * phase[..., 9])):
        assert abs(phasor.mean()) < 4 / math.sqrt(phasor.numel())
