"""Scenes that violate the assumptions of the estimators, or differ from the training scenes of a network.

A mismatch changes drawn scenes before they are measured. Estimators assume the nodes as drawn, and the signal-to-noise
ratio does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi, Scene, distances, measure, noise_variance_at
from unfolded_ogamp.scenes import counter_seed, evaluation_scenes

Mismatch = Callable[[Scene, torch.Generator], Scene]

LOSS_EXPONENT = 1.15  # amplitudes fall as d^-1.15; estimators assume d^-1
NODE_ERROR = 0.01  # standard deviation of every coordinate of a node [m]
EVERY = 5  # every fifth scatterer gets a neighbour
APART = 0.2  # least distance of a scatterer and its neighbour, in wavelengths
MAX_REDRAWS = 1000
OTHER_EPOCH = 1  # epoch of the random numbers of a mismatch; those of the scenes have epoch 0


def loss_exponent(scene: Scene, generator: torch.Generator) -> Scene:  # noqa: ARG001 (the call that all share)
    """Amplitudes fall faster with distance than assumed."""
    exponent = torch.full_like(scene.noise_variance, LOSS_EXPONENT)
    return replace(scene, array=replace(scene.array, loss_exponent=exponent))


def node_positions(scene: Scene, generator: torch.Generator) -> Scene:
    """Node positions differ slightly from the assumed ones."""
    tx, rx = (
        nodes + NODE_ERROR * torch.randn(nodes.shape, dtype=torch.float64, generator=generator).to(nodes)
        for nodes in (scene.array.tx, scene.array.rx)
    )
    return replace(scene, array=replace(scene.array, tx=tx, rx=rx))


def two_in_a_pixel(scene: Scene, generator: torch.Generator) -> Scene:
    """Every fifth scatterer, including the first, gets an equally strong neighbour in its pixel.

    Raises:
        InputError: if pixels are too small for two scatterers.
    """
    first = scene.position[:, ::EVERY]
    least = APART * scene.array.wavelength[:, None]
    nearest = distances(first, scene.grid.centre).argmin(-1, keepdim=True)
    centre = scene.grid.centre.gather(1, nearest.expand_as(first))
    second = first
    for _ in range(MAX_REDRAWS):
        near = (second - first).norm(dim=-1) < least
        if not near.any():
            break
        offset = torch.rand(first.shape, dtype=torch.float64, generator=generator).to(first) - 0.5
        second = torch.where(near[..., None], centre + offset * scene.grid.pixel[:, None, None], second)
    else:
        found = float(scene.grid.pixel.min())
        raise InputError(f"pixels must hold two scatterers {float(least.max()):.3g} m apart, got pixels of {found:g} m")
    return replace(
        scene,
        position=torch.cat([scene.position, second], 1),
        reflectivity=torch.cat([scene.reflectivity, scene.reflectivity[:, ::EVERY]], 1),
    )


MISMATCHES: dict[str, Mismatch] = {
    "loss exponent": loss_exponent,
    "node positions": node_positions,
    "two in a pixel": two_in_a_pixel,
}


def mismatched(scene: Scene, mismatch: Mismatch, generator: torch.Generator) -> Scene:
    """Scenes after a mismatch, with the signal-to-noise ratio and the assumed nodes of `scene`."""
    other = mismatch(scene, generator)
    noise_variance = scene.noise_variance * _scattered_power(other) / _scattered_power(scene)
    return replace(other, noise_variance=noise_variance, assumed=scene.array)


def mismatched_scenes(
    scenario: Scenario, mismatch: Mismatch, n_scenes: int, seed: int, dtype: torch.dtype = torch.float32
) -> Iterator[tuple[Scene, Csi]]:
    """The first `n_scenes` scenes of the test split after a mismatch, one at a time.

    Raises:
        InputError: if the scenario has a bandwidth, because a mismatch would follow coarse synchronisation.
    """
    if scenario.bandwidth is not None:
        raise InputError(f"a mismatch needs a scenario without bandwidth, got {scenario.bandwidth:g} Hz")
    scenes = enumerate(evaluation_scenes(scenario, n_scenes, 1, seed, torch.float64))
    return (
        _measured(scene, mismatch, counter_seed(seed, "test", OTHER_EPOCH, index), dtype)
        for index, (scene, _) in scenes
    )


def _measured(scene: Scene, mismatch: Mismatch, seed: int, dtype: torch.dtype) -> tuple[Scene, Csi]:
    """One mismatched scene and its measurement."""
    generator = torch.Generator().manual_seed(seed)
    other = mismatched(scene, mismatch, generator)
    return other.to(dtype), measure(other, generator).to(dtype)


def _scattered_power(scene: Scene) -> Tensor:
    """Mean scattered power over the links [B]."""
    level = torch.zeros_like(scene.noise_variance)
    return noise_variance_at(scene.array, scene.position, scene.reflectivity, scene.link, level)
