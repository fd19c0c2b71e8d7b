"""Scenes that are not what an estimator is told of them, or not what a network is trained on.

A mismatch takes scenes as they are drawn and makes those that are measured of them. Estimators are told the nodes as
they were drawn, and the ratio of signal to noise stays the same.
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

LOSS_EXPONENT = 1.15  # amplitudes fall as d^-1.15, where d^-1 is told
NODE_ERROR = 0.01  # standard deviation of every coordinate of a node [m]
EVERY = 5  # one in so many scatterers gets a neighbour
APART = 0.2  # least distance of the two, in wavelengths
MAX_REDRAWS = 1000
OTHER_EPOCH = 1  # the scenes themselves are of epoch 0


def loss_exponent(scene: Scene, generator: torch.Generator) -> Scene:  # noqa: ARG001 (the call that all share)
    """Amplitudes fall faster with distance than is told."""
    exponent = torch.full_like(scene.noise_variance, LOSS_EXPONENT)
    return replace(scene, array=replace(scene.array, loss_exponent=exponent))


def node_positions(scene: Scene, generator: torch.Generator) -> Scene:
    """Nodes are not quite where they are told to be."""
    tx, rx = (
        nodes + NODE_ERROR * torch.randn(nodes.shape, dtype=torch.float64, generator=generator).to(nodes)
        for nodes in (scene.array.tx, scene.array.rx)
    )
    return replace(scene, array=replace(scene.array, tx=tx, rx=rx))


def two_in_a_pixel(scene: Scene, generator: torch.Generator) -> Scene:
    """Every fifth scatterer, the first one included, has an equally strong neighbour in its pixel.

    Raises:
        InputError: if pixels are too small for two.
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
    """Scenes that are measured in place of `scene`, with its ratio of signal to noise, and told as `scene` is."""
    other = mismatch(scene, generator)
    noise_variance = scene.noise_variance * _scattered_power(other) / _scattered_power(scene)
    return replace(other, noise_variance=noise_variance, assumed=scene.array)


def mismatched_scenes(
    scenario: Scenario, mismatch: Mismatch, n_scenes: int, seed: int, dtype: torch.dtype = torch.float32
) -> Iterator[tuple[Scene, Csi]]:
    """What becomes of the first `n_scenes` scenes of the test split, one at a time.

    Raises:
        InputError: if the scenario has a bandwidth: coarse synchronisation comes before a mismatch here.
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
    """Mean power of what is scattered [B], over the links."""
    level = torch.zeros_like(scene.noise_variance)
    return noise_variance_at(scene.array, scene.position, scene.reflectivity, scene.link, level)
