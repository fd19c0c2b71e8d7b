"""Settings of imaging, and tuning parameters of a single iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.settings import Settings, at_least, positive, within


@dataclass(frozen=True)
class ImagingSettings(Settings):
    """Settings of imaging; the defaults are the paper's.

    Attributes:
        off_grid: use the off-grid dictionary (17); otherwise reflectivities at the pixel centres only.
        shared_activity: one activity indicator for reflectivity and offsets of a pixel (31); otherwise one for each.
        sparsity: prior probability eta of an active pixel.
        reflectivity_mean, reflectivity_std: prior (32) of an active reflectivity, in problem units.
        offset_std: prior standard deviation of offset times reflectivity (33)-(34), in pixels.
        known_noise: use the noise variance of the CSI; otherwise `noise_share` times the mean power of the residual.
        noise_share: see `known_noise`; above 1 if model errors are correlated between subcarriers.
        damping: weight of old messages in new ones; the paper has none, but without it the iteration can diverge.
        recentre_every: t' of step 6, iterations between two recentrings of the active pixels; 0 for never.
        recentring_step: share of the estimated offset by which a pixel moves.
        offset_limit: largest offset along a coordinate, in pixels; 0.5 is the edge of the pixel.
        oversampling: positions per pixel and axis that are searched for inactive pixels before a block; 1 for no
            search. The expansion (11) is accurate in a small part of a large pixel only.
        adapt_prior: adapt the scale of the reflectivity prior after each block.
        all_active: start with every pixel active.
    """

    off_grid: bool = True
    shared_activity: bool = True
    sparsity: Annotated[float, within("(0, 1)")] = 0.03
    reflectivity_mean: float = 1.0
    reflectivity_std: Annotated[float, positive] = 0.1
    offset_std: Annotated[float, positive] = 0.5
    known_noise: bool = True
    noise_share: Annotated[float, positive] = 1.0
    damping: Annotated[float, within("[0, 1)")] = 0.5
    recentre_every: Annotated[int, at_least(0)] = 5
    recentring_step: Annotated[float, positive] = 1.0
    offset_limit: Annotated[float, positive] = 0.5
    oversampling: Annotated[int, at_least(1)] = 1
    adapt_prior: bool = False
    all_active: bool = True


@dataclass(frozen=True)
class ImagingParameters:
    """Tuning parameters of an imaging iteration: numbers in classic estimators, learned scalars in a layer.

    The names and units are those of `ImagingSettings`; `activity` is the log-odds of the sparsity.
    """

    activity: Tensor | float
    reflectivity_mean: Tensor | float
    reflectivity_std: Tensor | float
    offset_std: Tensor | float
    noise_share: Tensor | float
    damping: Tensor | float
    recentring_step: Tensor | float

    @classmethod
    def of(cls, settings: ImagingSettings) -> ImagingParameters:
        """The parameters of `settings`."""
        return cls(
            activity=float(torch.logit(torch.tensor(settings.sparsity, dtype=torch.float64))),
            reflectivity_mean=settings.reflectivity_mean,
            reflectivity_std=settings.reflectivity_std,
            offset_std=settings.offset_std,
            noise_share=settings.noise_share,
            damping=settings.damping,
            recentring_step=settings.recentring_step,
        )
