"""The estimate that every estimator of imaging returns: `estimator(csi, array, grid) -> Estimate`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Scatterers:
    """The estimated scatterers of one scene, strongest first.

    Attributes:
        position: [S, D], [m].
        covariance: covariance of `position` [S, D, D], [m^2], from the curvature of the likelihood with all other
            unknowns free. If the estimator has not converged, it contains a position anywhere in the region, too.
        reflectivity: complex [S], in the units of the CSI.
        probability: probability that a scatterer is within a tenth of a carrier wavelength of the position [S].
    """

    position: Tensor
    covariance: Tensor
    reflectivity: Tensor
    probability: Tensor

    def __getitem__(self, chosen: Tensor | slice) -> Scatterers:
        """The scatterers of a mask, bool [S], of indices in their order, or of a slice."""
        return Scatterers(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def to(self, dtype: torch.dtype) -> Scatterers:
        """The same scatterers in the real precision `dtype`."""
        return Scatterers(
            self.position.to(dtype),
            self.covariance.to(dtype),
            self.reflectivity.to(dtype.to_complex()),
            self.probability.to(dtype),
        )

    def and_those_of(self, other: Scatterers) -> Scatterers:
        """These scatterers and those of another list."""
        return Scatterers(*(torch.cat([getattr(one, each.name) for one in (self, other)]) for each in fields(self)))

    @property
    def position_std(self) -> Tensor:
        """Standard deviation of every coordinate [S, D], [m]."""
        return self.covariance.diagonal(dim1=1, dim2=2).sqrt()


@dataclass(frozen=True)
class History(Record):
    """Course of the estimation, one entry for each of T imaging iterations.

    Attributes:
        residual: mean |y - prediction|^2 over the links, in the units of |CSI|^2 [B, T].
        change: mean absolute change of the reflectivity over the pixels, in problem units [B, T].
        active: number of active pixels [B, T].
    """

    residual: Tensor
    change: Tensor
    active: Tensor


@dataclass(frozen=True)
class Estimate:
    """Estimate for a batch of B scenes.

    Attributes:
        scatterers: one list of scatterers per scene, those in the region of interest.
        outside: one list per scene of echoes from outside the region, which the model needs.
        tx_phase, rx_phase: node phases [B, n_tx, K], [B, n_rx, K], [rad], relative to the node with most links (7).
        tx_phase_std, rx_phase_std: standard deviation of the node phases [B, n_tx], [B, n_rx], [rad], without the mean
            of each side, which cannot be observed without a line of sight; inf if the CSI does not determine the phase.
        pixel_probability: probability that a pixel holds a scatterer [B, N].
        noise_variance: noise variance of the CSI [B]: the given one; if none is given, from subcarriers or singular
            values, else from the residual. It is raised where the residual exceeds it.
        noise_std: standard error of the noise variance [B]; 0 if it was given.
        prediction: predicted noise-free CSI, complex [B, n_tx, n_rx, K].
        residual: mean |y - prediction|^2 over the existing links [B].
        tx_without_los, rx_without_los: nodes without a trusted line of sight in scenes where others have one,
            bool [B, n_tx], [B, n_rx]; their phases come from scattering alone.
        converged: whether the residual is consistent with the noise, or, where the CSI does not show the noise
            variance, whether independent starts agree, bool [B].
        diagnosis: per scene, sentences on what does not fit; none if the model explains the CSI.
        finite: False if a non-finite state ended the run; the estimate is then the last finite one, bool [B].
        history: course of the estimation.
    """

    scatterers: list[Scatterers]
    outside: list[Scatterers]
    tx_phase: Tensor
    rx_phase: Tensor
    tx_phase_std: Tensor
    rx_phase_std: Tensor
    pixel_probability: Tensor
    noise_variance: Tensor
    noise_std: Tensor
    prediction: Tensor
    residual: Tensor
    tx_without_los: Tensor
    rx_without_los: Tensor
    converged: Tensor
    diagnosis: list[tuple[str, ...]]
    finite: Tensor
    history: History


class Estimator(Protocol):
    """The call that classic estimators and networks share."""

    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate: ...
