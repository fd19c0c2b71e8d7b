"""Perturbations of targets: groups of points, clusters with multiple scattering, and targets that some links miss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from unfolded_ogamp.imaging.perturbations.nodes_and_links import normal
from unfolded_ogamp.imaging.perturbations.signal import Signal
from unfolded_ogamp.physics import Scene, distances, gain_constant, node_wave, noise_free_csi, phasor
from unfolded_ogamp.settings import Settings, at_least, positive, within


@dataclass(frozen=True)
class Extended(Settings):
    """Every target is a group of points of random strengths, about its position as their centroid.

    Attributes:
        points: number of points of a target.
        smallest, largest: diameter of a target, drawn uniformly, in wavelengths.
    """

    points: Annotated[int, at_least(1)] = 4
    smallest: Annotated[float, positive] = 1 / 8
    largest: Annotated[float, positive] = 1 / 2
    prior: ClassVar[None] = None

    def __call__(self, scene: Scene, generator: torch.Generator) -> Signal:
        """The scene of all points; the truth are the centroids, weighted by the reflectivities."""
        batch, count, dimension = scene.position.shape
        size = self.smallest + (self.largest - self.smallest) * _uniform(
            (batch, count, 1, 1), generator, scene.position
        )
        offset = _in_ball((batch, count, self.points, dimension), generator, scene.position)
        offset = offset * size / 2 * scene.array.wavelength[:, None, None, None]
        share = 0.5 + _uniform((batch, count, self.points), generator, scene.position)
        share = share / share.sum(2, keepdim=True)
        offset = offset - (share[..., None] * offset).sum(2, keepdim=True)
        points = replace(
            scene,
            position=(scene.position[:, :, None] + offset).flatten(1, 2),
            reflectivity=(scene.reflectivity[..., None] * share).flatten(1),
        )
        return Signal.of(scene, noise_free_csi(points))


@dataclass(frozen=True)
class Occluded(Settings):
    """Every target is hidden from a random share of the links."""

    share: Annotated[float, within("[0, 1)")] = 1 / 3
    prior: ClassVar[None] = None

    def __call__(self, scene: Scene, generator: torch.Generator) -> Signal:
        """The scene without the paths that are hidden."""
        array, count = scene.array, scene.position.shape[1]
        hidden = _uniform((*scene.link.shape, count), generator, scene.position) < self.share
        tx, rx = (node_wave(array, distances(nodes, scene.position), None) for nodes in (array.tx, array.rx))
        strength = scene.reflectivity * gain_constant(array)[:, None]
        paths = (tx[:, :, :, None] * rx[:, :, None]).movedim(1, 3) * strength[:, None, None, None]
        seen = (paths * ~hidden[:, :, :, None]).sum(-1)
        return Signal.of(scene, seen * _turn(scene) * scene.link[..., None])


@dataclass(frozen=True)
class Clusters(Settings):
    """Every target is a cluster of points that scatter one another's waves (Foldy, 1945; Lax, 1951).

    Attributes:
        count: number of targets; those of the scene are replaced by as many of its first ones.
        points: number of points of a cluster, on its rim.
        smallest, largest: diameter of a cluster [m], drawn uniformly.
        strength: scattering strength of a point over the largest one that conserves energy; a metal rim has about one.
    """

    count: Annotated[int, at_least(1)] = 8
    points: Annotated[int, at_least(2)] = 10
    smallest: Annotated[float, positive] = 0.03
    largest: Annotated[float, positive] = 0.15
    strength: Annotated[float, within("(0, 1]")] = 1.0
    prior: ClassVar[None] = None

    def __call__(self, scene: Scene, generator: torch.Generator) -> Signal:
        """The scene of the clusters; the truth are their centres."""
        scene = replace(
            scene, position=scene.position[:, : self.count], reflectivity=scene.reflectivity[:, : self.count]
        )
        batch, count, dimension = scene.position.shape
        size = self.smallest + (self.largest - self.smallest) * _uniform(
            (batch, count, 1, 1), generator, scene.position
        )
        rim = _on_rim((batch, count, self.points, dimension), generator, scene.position) * size / 2
        position = (scene.position[:, :, None] + rim).flatten(1, 2)
        channel = foldy_lax(scene, position, self.strength)
        radius = torch.full_like(scene.noise_variance, self.largest / 2)
        return replace(Signal.of(scene, channel * _turn(scene) * scene.link[..., None]), radius=radius)


def foldy_lax(scene: Scene, position: Tensor, strength: float) -> Tensor:
    """Channel of points [B, P, D] with multiple scattering, without node phases: complex [B, n_tx, n_rx, K].

    The waves exp(-j kappa d) / d that excite the points solve u = u_tx + tau G u, with G the wave from point to point.
    The scattering length tau = strength j^-1 / kappa is that of a resonant point, which conserves energy at strength 1.
    """
    array = scene.array
    distance = distances(position, position)
    apart = distance > 0
    between = node_wave(array, torch.where(apart, distance, 1.0), None) * apart[:, None]
    tx, rx = (node_wave(array, distances(nodes, position), None) for nodes in (array.tx, array.rx))
    length = strength / (1j * array.wavenumber[:, :, None, None])
    system = torch.eye(position.shape[1]).to(between) - length * between
    excited = torch.linalg.solve(system, (length * tx).mT)  # [B, K, P, n_tx]
    channel = excited.mT @ rx.mT * gain_constant(array)[:, None, None, None]
    return channel.movedim(1, -1)


def _turn(scene: Scene) -> Tensor:
    """Phasors of the node phases on all links [B, n_tx, n_rx, K]."""
    return phasor(-(scene.tx_phase[:, :, None] - scene.rx_phase[:, None]))


def _uniform(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Uniform numbers of 0 to 1."""
    return torch.rand(shape, dtype=torch.float64, generator=generator).to(like)


def _on_rim(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Points of the unit circle, evenly spaced from a random angle on, or random ones of the unit sphere: [..., D]."""
    if shape[-1] != 2:
        direction = normal(torch.Size(shape), generator, like)
        return direction / direction.norm(dim=-1, keepdim=True)
    turn = _uniform((*shape[:-2], 1), generator, like) + torch.arange(shape[-2]).to(like) / shape[-2]
    angle = 2 * torch.pi * turn
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def _in_ball(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Uniform points of the unit ball [..., D]."""
    direction = normal(torch.Size(shape), generator, like)
    radius = _uniform((*shape[:-1], 1), generator, like) ** (1 / shape[-1])
    return direction / direction.norm(dim=-1, keepdim=True) * radius
