"""A scene that is turned, mirrored, renumbered or scaled gives the same scatterers, moved accordingly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, Scene, measure, regular_grid

N_NODES, RADIUS, N_PIXELS = 12, 2.0, 10
SEEDS = (0, 1, 2)


def ring(seed: int) -> tuple[Csi, NodeArray, PixelGrid]:
    """12 + 12 interleaved nodes on a circle around a square region of five scatterers; uniform node phases."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.arange(2 * N_NODES, dtype=torch.float64) * math.pi / N_NODES
    place = RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)
    carrier = torch.tensor([1e9], dtype=torch.float64)
    array = NodeArray(place[None, 0::2], place[None, 1::2], carrier[:, None], carrier)
    grid = regular_grid([N_PIXELS] * 2, 0.2, [0.0, 0.0], torch.float64)
    position = 1.9 * (torch.rand(1, 5, 2, generator=generator, dtype=torch.float64) - 0.5)
    gain = 0.8 + 0.4 * torch.rand(1, 5, generator=generator, dtype=torch.float64)
    phase = 2 * math.pi * torch.rand(1, 2 * N_NODES, 1, generator=generator, dtype=torch.float64)
    link = torch.ones(1, N_NODES, N_NODES, dtype=torch.bool)
    noise = torch.tensor([1e-9], dtype=torch.float64)
    scene = Scene(
        array, grid, position, gain.to(torch.complex128), phase[:, :N_NODES], phase[:, N_NODES:], link, ~link, noise
    )
    clean = measure(scene, generator).value.abs().square().mean()
    scene = replace(scene, noise_variance=0.003 * clean[None])
    return measure(scene, generator), array, grid


def found(csi: Csi, array: NodeArray, grid: PixelGrid) -> Tensor:
    """Positions of the scatterers [S, 2], of a search that has converged."""
    estimate = GreedyEstimator()(csi, array, grid)
    assert bool(estimate.converged)
    return estimate.scatterers[0].position


def assert_same(one: Tensor, other: Tensor, wavelength: float) -> None:
    assert one.shape == other.shape
    distance = torch.cdist(one, other)
    assert float(torch.maximum(distance.amin(0), distance.amin(1)).max()) < 1e-3 * wavelength


def turned(quarters: int) -> Callable[[Tensor], Tensor]:
    matrix = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64).matrix_power(quarters)
    return lambda place: place @ matrix


def permuted(csi: Csi, array: NodeArray, tx: Tensor, rx: Tensor) -> tuple[Csi, NodeArray]:
    part = {
        name: getattr(csi, name)[:, tx][:, :, rx] for name in ("value", "link", "los", "los_trusted", "los_channel")
    }
    return replace(csi, **part), replace(array, tx=array.tx[:, tx], rx=array.rx[:, rx])


@pytest.mark.parametrize("seed", SEEDS)
def test_turned_mirrored_and_renumbered_scenes(seed: int) -> None:
    csi, array, grid = ring(seed)
    plain = found(csi, array, grid)
    assert len(plain) == 5
    order = torch.arange(N_NODES)
    generator = torch.Generator().manual_seed(seed)
    for quarters in (1, 2):
        # the nodes of the turned ring stand where others stood: the same array, numbered from another node
        turn = turned(quarters)
        again, same = permuted(
            csi, replace(array, tx=turn(array.tx), rx=turn(array.rx)), *(order.roll(3 * quarters),) * 2
        )
        torch.testing.assert_close(same.tx, array.tx, rtol=0, atol=1e-9)
        assert_same(turn(plain), found(again, same, grid), float(array.wavelength))
    mirrored = torch.tensor([1.0, -1.0], dtype=torch.float64)
    image = replace(array, tx=array.tx * mirrored, rx=array.rx * mirrored)
    assert_same(plain * mirrored, found(csi, image, grid), float(array.wavelength))
    shuffled = (torch.randperm(N_NODES, generator=generator), torch.randperm(N_NODES, generator=generator))
    assert_same(plain, found(*permuted(csi, array, *shuffled), grid), float(array.wavelength))


@pytest.mark.parametrize("scale", [1e-3, 50.0])
def test_lengths_scaled_together_with_the_wavelength(scale: float) -> None:
    csi, array, grid = ring(SEEDS[0])
    plain = found(csi, array, grid)
    larger = replace(
        array,
        tx=scale * array.tx,
        rx=scale * array.rx,
        frequency=array.frequency / scale,
        carrier_frequency=array.carrier_frequency / scale,
    )
    wide = replace(grid, centre=scale * grid.centre, pixel=scale * grid.pixel)
    assert_same(scale * plain, found(csi, larger, wide), float(larger.wavelength))
