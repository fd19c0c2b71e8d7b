"""What imaging is set by: settings of the classic estimators, parameters of a single iteration."""

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
        off_grid: the off-grid dictionary (17); else reflectivity on the pixel centres alone.
        shared_activity: reflectivity and offsets of a pixel are active together (31); else each on its own.
        sparsity: prior probability eta of an active pixel.
        reflectivity_mean, reflectivity_std: prior (32) of an active reflectivity, in problem units.
        offset_std: prior standard deviation of offset times reflectivity (33)-(34), in pixels.
        known_noise: noise variance as given with the CSI; else `noise_share` of the mean power of the last residual.
        noise_share: what counts as noise besides the uncertainty of the messages; more than the residual itself where
            subcarriers repeat one another's model error.
        damping: weight of old messages in new ones; the paper has none, but it diverges without.
        recentre_every: t' of step 6, iterations between two recentrings of the active pixels; 0 for never.
        recentring_step: share of the estimated offset by which a pixel moves.
        offset_limit: largest offset along a coordinate, in pixels; half a pixel is the pixel's edge.
        oversampling: positions per pixel and axis that inactive pixels are searched on before a block of iterations;
            1 for none. The expansion (11) holds over a small part of a pixel only.
        adapt_prior: scale the reflectivity prior by what the active pixels show after each block.
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
    """What one imaging iteration is tuned by: numbers for the classic estimator, learned scalars for a layer.

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
        """The parameters that `settings` ask for."""
        return cls(
            activity=float(torch.logit(torch.tensor(settings.sparsity, dtype=torch.float64))),
            reflectivity_mean=settings.reflectivity_mean,
            reflectivity_std=settings.reflectivity_std,
            offset_std=settings.offset_std,
            noise_share=settings.noise_share,
            damping=settings.damping,
            recentring_step=settings.recentring_step,
        )
