"""Echoes of the region lie in the allowed modes, noise does not, and a wrong subcarrier is the one that is left out."""

from __future__ import annotations

import math

import pytest
import torch
from faulty_scenes import drawn, packet_delays

from unfolded_ogamp.imaging.diagnosis.band import node_delays, orders_of
from unfolded_ogamp.imaging.diagnosis.delays import (
    centred,
    delay_window,
    forbidden,
    forbidden_share,
    inconsistent_subcarriers,
    power_outside,
)
from unfolded_ogamp.physics import SPEED_OF_LIGHT, Csi, bistatic_delay, distances, noise_free_csi


def band(seed: int = 0, los: bool = True):
    generator = torch.Generator().manual_seed(seed)
    return drawn(generator, n_subcarriers=12, subcarrier_spacing=3e6, los=los, snr_db=20.0)


def evidence(csi: Csi, scene, noise: float):
    window = delay_window(csi, scene.array, scene.grid)
    frequency = scene.array.frequency[0]
    share = forbidden_share(csi.value[0].flatten(0, 1), torch.tensor([noise], dtype=torch.float64))
    value = centred(csi.value[0], frequency, window.middle).flatten(0, 1)
    return value, forbidden(frequency, window.width, share)


def test_window_holds_all_delays_of_the_region():
    scene, csi = band()
    window = delay_window(csi, scene.array, scene.grid)
    delays = torch.cat(
        [
            bistatic_delay(scene.array, scene.position)[0],
            distances(scene.array.tx, scene.array.rx)[0, ..., None] / SPEED_OF_LIGHT,
        ],
        dim=-1,
    )
    assert bool(((delays - window.middle[..., None]).abs() <= window.width / 2).all())


@pytest.mark.parametrize("seed", range(4))
def test_echoes_are_inside_and_noise_is_outside(seed):
    scene, csi = band(seed)
    noise = float(scene.noise_variance)
    value, projection = evidence(csi, scene, noise)
    n_modes = float(projection.diagonal().sum())
    assert n_modes > 2
    assert torch.allclose(projection @ projection, projection, atol=1e-10)
    assert power_outside(value, projection) == pytest.approx(noise, rel=0.3)
    clean = noise_free_csi(scene)[0]
    window = delay_window(csi, scene.array, scene.grid)
    echoes = centred(clean, scene.array.frequency[0], window.middle).flatten(0, 1)
    assert power_outside(echoes, projection) < 0.3 * noise
    reversed_order = centred(clean.flip(-1), scene.array.frequency[0], window.middle).flatten(0, 1)
    assert power_outside(reversed_order, projection) > 3 * power_outside(echoes, projection)


def test_power_outside_is_nan_if_every_mode_is_allowed():
    scene, csi = band()
    value, _ = evidence(csi, scene, 1e-6)
    assert math.isnan(power_outside(value, forbidden(scene.array.frequency[0], 1e-3, 1e-6)))


def test_the_wrong_subcarriers_are_found_and_an_order_is_not_one():
    scene, csi = band()
    noise = float(scene.noise_variance)
    value, projection = evidence(csi, scene, noise)
    assert not inconsistent_subcarriers(value, projection, 4.0).any()
    turned = value.clone()
    generator = torch.Generator().manual_seed(0)
    turned[:, [2, 7]] *= torch.polar(
        torch.ones(len(value), 2, dtype=torch.float64),
        2 * math.pi * torch.rand(len(value), 2, dtype=torch.float64, generator=generator),
    )
    assert inconsistent_subcarriers(turned, projection, 4.0).nonzero()[:, 0].tolist() == [2, 7]


@pytest.mark.parametrize("count", [4, 5])
def test_orders_undo_the_usual_ones(count):
    natural = torch.arange(count)
    orders = list(orders_of(count).values())
    for stored in (torch.fft.ifftshift(natural), torch.fft.fftshift(natural), natural.flip(0)):
        assert any(torch.equal(stored[order], natural) for order in orders)


def test_delays_of_nodes_are_those_of_their_clocks():
    """Free space alone, and late nodes: the differences between nodes of one side come out."""
    faulty = packet_delays(torch.Generator().manual_seed(5))
    array, link = faulty.array, faulty.csi.link[0]
    late = 2e-7 * torch.rand(sum(link.shape), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tx, rx = late.split(list(link.shape))
    offset = array.frequency[0] - array.frequency[0].mean()
    turns = offset * (tx[:, None] - rx)[..., None]
    value = torch.polar(torch.ones_like(turns), -2 * math.pi * turns)
    found = node_delays(value.flatten(0, 1), array.frequency[0], link)
    assert found is not None
    for side, true in zip(found.split(list(link.shape)), (tx, rx), strict=True):
        assert torch.allclose(side - side[0], true - true[0], atol=1e-12)
