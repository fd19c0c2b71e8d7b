"""What a perturbation makes of a scene: the CSI without noise, and the truth for the score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from unfolded_ogamp.bounds.self_calibration import NodePrior
from unfolded_ogamp.physics import Csi, Scene, los_channel, nlos_channel
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Signal(Record):
    """The CSI of perturbed scenes, without noise.

    Attributes:
        scene: the truth for the score; its links are the good ones.
        value: CSI without noise and interference, complex [B, n_tx, n_rx, K].
        interference: what is added to the CSI of bad links, of the same shape.
        radius: largest radius of a target [B], [m]; a target counts as found within the gate plus this.
    """

    scene: Scene
    value: Tensor
    interference: Tensor
    radius: Tensor

    @classmethod
    def of(cls, scene: Scene, value: Tensor) -> Signal:
        """The signal of points on good links."""
        return cls(scene, value, torch.zeros_like(value), torch.zeros_like(scene.noise_variance))


class Perturbation(Protocol):
    """A perturbation, with random numbers from a generator.

    Attributes:
        prior: spread of the nodes that the perturbation draws from, for the bound; None if there is no bound.
    """

    @property
    def prior(self) -> NodePrior | None: ...

    def __call__(self, scene: Scene, generator: torch.Generator) -> Signal: ...


def measured(signal: Signal, clean: Scene, generator: torch.Generator) -> tuple[Signal, Csi]:
    """The signal with the signal-to-noise ratio of the clean scenes, and its measurement.

    Args:
        signal: perturbed signal of `clean`; its scene has the same links, or fewer.
        clean: the scenes before the perturbation; estimators assume their nodes.
        generator: source of randomness of the noise.
    """
    link = clean.link[..., None]
    power, before = (_mean_power(value, link) for value in (signal.value, _scattered(clean)))
    variance = clean.noise_variance * power / before
    noise = torch.randn(*signal.value.shape, 2, dtype=torch.float64, generator=generator)
    noise = torch.view_as_complex(noise).to(signal.value) * (variance / 2).sqrt()[:, None, None, None]
    csi = Csi(
        value=(signal.value + signal.interference + noise) * link,
        link=clean.link,
        los=clean.los,
        los_channel=los_channel(clean.assumed_array),
        los_trusted=clean.los,
        noise_variance=variance,
    )
    scene = replace(signal.scene, noise_variance=variance, assumed=clean.assumed_array)
    return replace(signal, scene=scene), csi


def _scattered(scene: Scene) -> Tensor:
    return nlos_channel(scene.array, scene.position, scene.reflectivity)


def _mean_power(value: Tensor, link: Tensor) -> Tensor:
    """Mean power over the links [B, n_tx, n_rx, 1] and subcarriers [B]."""
    return (value.abs().square() * link).sum((1, 2, 3)) / link.sum((1, 2, 3))
