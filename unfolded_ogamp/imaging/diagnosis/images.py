"""Mirror images: nodes on a line or in a plane cannot tell a scatterer from its image on the other side."""

from __future__ import annotations

from dataclasses import replace

import torch

from unfolded_ogamp.imaging.diagnosis.geometry import flat_normal
from unfolded_ogamp.imaging.estimate import Estimate, Scatterers
from unfolded_ogamp.physics import NodeArray, PixelGrid

SAME = 0.125  # distance of a scatterer and its image that count as one, in wavelengths


def with_mirror_images(estimate: Estimate, array: NodeArray, grid: PixelGrid) -> Estimate:
    """The estimate of a batch of one with the images inside the region, each as probable as its scatterer: half.

    Without nodes on a line (2-D) or in a plane (3-D), the estimate is as it was.
    """
    normal = flat_normal(array)
    if normal is None:
        return estimate
    scatterers = estimate.scatterers[0]
    normal = normal.to(scatterers.position)
    foot = torch.cat([array.tx, array.rx], dim=1)[0].mean(0).to(normal)
    across = (scatterers.position - foot) @ normal
    image = scatterers.position - 2 * across[:, None] * normal
    centre, half = grid.centre[0], grid.pixel[0] / 2
    inside = ((image >= centre.amin(0) - half) & (image <= centre.amax(0) + half)).all(1)
    ambiguous = inside & (2 * across.abs() > SAME * array.wavelength)
    reflection = torch.eye(len(normal)).to(normal) - 2 * normal[:, None] * normal
    probability = torch.where(ambiguous, scatterers.probability / 2, scatterers.probability)
    covariance = scatterers.covariance[ambiguous]
    unknown = covariance.isinf().flatten(1).any(1)[:, None, None]
    reflected = torch.where(unknown, covariance, reflection @ covariance @ reflection)
    both = Scatterers(
        position=torch.cat([scatterers.position, image[ambiguous]]),
        covariance=torch.cat([scatterers.covariance, reflected]),
        reflectivity=torch.cat([scatterers.reflectivity, scatterers.reflectivity[ambiguous]]),
        probability=torch.cat([probability, probability[ambiguous]]),
    )
    order = both.probability.argsort(descending=True, stable=True)
    ordered = Scatterers(
        both.position[order], both.covariance[order], both.reflectivity[order], both.probability[order]
    )
    return replace(estimate, scatterers=[ordered])
