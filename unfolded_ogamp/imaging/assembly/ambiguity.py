"""Ambiguous positions: mirror images about a line or a plane that holds all nodes, and echoes outside the region.

A point and its mirror image about a line (2-D) or a plane (3-D) through all nodes have the same distances to them, and
thus the same echo. Only the region of interest can tell one from the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.estimate import Scatterers
from unfolded_ogamp.physics import NodeArray, PixelGrid, flat_normal
from unfolded_ogamp.records import Record

SAME = 0.125  # distance of a scatterer and its mirror image that count as one, in carrier wavelengths


@dataclass(frozen=True)
class Mirror(Record):
    """A line or plane through all nodes.

    Attributes:
        middle: a point on it [D], [m].
        normal: its unit normal [D].
    """

    middle: Tensor
    normal: Tensor

    def image(self, position: Tensor) -> Tensor:
        """Mirror images of positions [..., D] [m]."""
        return position - 2 * ((position - self.middle) @ self.normal)[..., None] * self.normal

    def reflected(self, covariance: Tensor) -> Tensor:
        """Covariances [..., D, D] [m^2] of mirror images."""
        turn = torch.eye(len(self.normal)).to(self.normal) - 2 * self.normal[:, None] * self.normal
        return turn @ covariance @ turn


def mirror(array: NodeArray) -> Mirror | None:
    """The line or plane that holds all nodes of an array, a batch of one; None if there is none."""
    normal = flat_normal(array)
    return None if normal is None else Mirror(torch.cat([array.tx[0], array.rx[0]]).mean(0), normal)


def split(found: Scatterers, array: NodeArray, grid: PixelGrid) -> tuple[Scatterers, Scatterers, int]:
    """The scatterers in the region, the echoes from outside of it, and the number of ambiguous scatterers.

    If the nodes lie on a line or plane, a scatterer outside the region counts as its mirror image if that is inside. If
    both are inside, both are listed, each with half the probability.

    Args:
        found: all scatterers of a scene.
        array, grid: a batch of one.
    """
    within, plane = grid.holds(found.position[None])[0], mirror(array)
    if plane is None:
        return found[within], found[~within], 0
    image = replace(found, position=plane.image(found.position), covariance=plane.reflected(found.covariance))
    apart = (image.position - found.position).norm(dim=1) > SAME * array.wavelength[0]
    image_within = grid.holds(image.position[None])[0] & apart
    both = within & image_within
    probability = torch.where(both, found.probability / 2, found.probability)
    found, image = replace(found, probability=probability), replace(image, probability=probability)
    return (
        found[within].and_those_of(image[image_within]),
        found[~within & ~image_within],
        int(both.sum()),
    )
