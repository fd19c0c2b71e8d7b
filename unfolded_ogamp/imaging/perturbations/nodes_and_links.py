"""Perturbations of nodes and links: positions, gains, loss exponent, interference, a wall, fading of every link."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from unfolded_ogamp.bounds.self_calibration import NodePrior
from unfolded_ogamp.imaging.perturbations.signal import Signal
from unfolded_ogamp.physics import Scene, distances, gain_constant, node_wave, noise_free_csi, phasor
from unfolded_ogamp.settings import Settings, not_negative, positive, within


def decibels(value: float) -> float:
    """Natural logarithm of the amplitude factor of `value` [dB]."""
    return value * math.log(10) / 20


def normal(shape: torch.Size, generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers in the precision of `like`."""
    return torch.randn(shape, dtype=torch.float64, generator=generator).to(like)


@dataclass(frozen=True)
class Nodes(Settings):
    """Nodes off their list, with gains of their own.

    Attributes:
        position_std: standard deviation of every coordinate [m].
        gain_std: of the amplitude gains [dB].
    """

    position_std: Annotated[float, not_negative] = 0.0
    gain_std: Annotated[float, not_negative] = 0.0

    @property
    def prior(self) -> NodePrior:
        """The spread of the nodes."""
        return NodePrior(node_std=self.position_std, gain_std=self.gain_std)

    def __call__(self, scene: Scene, generator: torch.Generator) -> Signal:
        """Nodes moved, and gains drawn."""
        array = scene.array
        tx, rx = (nodes + self.position_std * normal(nodes.shape, generator, nodes) for nodes in (array.tx, array.rx))
        gains = [
            (decibels(self.gain_std) * normal(nodes.shape[:2], generator, nodes)).exp()
            for nodes in (array.tx, array.rx)
        ]
        moved = replace(scene, array=replace(array, tx=tx, rx=rx, tx_gain=gains[0], rx_gain=gains[1]))
        return Signal.of(moved, noise_free_csi(moved))


@dataclass(frozen=True)
class LossExponent(Settings):
    """Amplitudes fall as d^-exponent."""

    exponent: Annotated[float, positive] = 1.15
    prior: ClassVar[None] = None

    def __call__(self, scene: Scene, generator: torch.Generator) -> Signal:
        """The same scene with another loss."""
        del generator
        exponent = torch.full_like(scene.noise_variance, self.exponent)
        other = replace(scene, array=replace(scene.array, loss_exponent=exponent))
        return Signal.of(other, noise_free_csi(other))


@dataclass(frozen=True)
class OutlierLinks(Settings):
    """Interference on random links, the same on all subcarriers.

    Attributes:
        share: probability that a link is bad.
        amplitude: root mean square interference over that of the channel.
    """

    share: Annotated[float, within("[0, 1)")]
    amplitude: Annotated[float, positive] = 3.0

    @property
    def prior(self) -> NodePrior:
        """Nodes are as listed."""
        return NodePrior()

    def __call__(self, scene: Scene, generator: torch.Generator) -> Signal:
        """The scene with its good links, and interference on the others."""
        value = noise_free_csi(scene)
        bad = torch.rand(scene.link.shape, dtype=torch.float64, generator=generator) < self.share
        level = value.abs().square().mean((1, 2, 3), keepdim=True).sqrt() * self.amplitude / math.sqrt(2)
        real, imaginary = (normal(bad.shape, generator, value.real)[..., None] for _ in range(2))
        interference = torch.complex(real, imaginary) * level * bad[..., None]
        good = replace(scene, link=scene.link & ~bad)
        return replace(Signal.of(good, value), interference=interference.expand_as(value))


@dataclass(frozen=True)
class Wall(Settings):
    """A wall beside the scene: every scattered path comes a second time over the image of the Tx, and of the Rx.

    Attributes:
        distance: of the wall from the middle of the region, over the side of the region.
        coefficient: reflection coefficient.
    """

    distance: Annotated[float, positive] = 1.5
    coefficient: Annotated[float, within("(-1, 1)")] = 0.3
    prior: ClassVar[None] = None

    def __call__(self, scene: Scene, generator: torch.Generator) -> Signal:
        """The scene with single reflections of the wall, which is normal to the first coordinate."""
        del generator
        array, centre = scene.array, scene.grid.centre
        side = (centre[..., 0].amax(1) - centre[..., 0].amin(1)) + scene.grid.pixel
        wall = centre[..., 0].mean(1) + self.distance * side

        def image(nodes: Tensor) -> Tensor:
            return torch.cat([2 * wall[:, None, None] - nodes[..., :1], nodes[..., 1:]], dim=2)

        tx, rx = (node_wave(array, distances(nodes, scene.position), None) for nodes in (array.tx, array.rx))
        far = [node_wave(array, distances(image(nodes), scene.position), None) for nodes in (array.tx, array.rx)]
        strength = scene.reflectivity[:, None, None] * gain_constant(array)[:, None, None, None]
        both = (far[0] * strength) @ rx.mT + (tx * strength) @ far[1].mT
        turn = phasor(-(scene.tx_phase[:, :, None] - scene.rx_phase[:, None]))
        reflected = self.coefficient * both.movedim(1, -1) * turn * scene.link[..., None]
        return Signal.of(scene, noise_free_csi(scene) + reflected)


@dataclass(frozen=True)
class LinkGains(Settings):
    """Every link has a gain and a phase of its own, as after fading that positions do not explain.

    Attributes:
        gain_std: standard deviation of the amplitude gains [dB].
        phase_std: standard deviation of the phases [rad].
    """

    gain_std: Annotated[float, not_negative]
    phase_std: Annotated[float, not_negative]
    prior: ClassVar[None] = None

    def __call__(self, scene: Scene, generator: torch.Generator) -> Signal:
        """The scene with factors on its links, the same on all subcarriers."""
        value = noise_free_csi(scene)
        level, phase = (normal(scene.link.shape, generator, value.real)[..., None] for _ in range(2))
        return Signal.of(scene, value * (decibels(self.gain_std) * level).exp() * phasor(self.phase_std * phase))
