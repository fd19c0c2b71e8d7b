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
        extent: root mean square radius of an extended target [S], [m]; 0 for a point.
    """

    position: Tensor
    covariance: Tensor
    reflectivity: Tensor
    probability: Tensor
    extent: Tensor

    @classmethod
    def points(cls, position: Tensor, covariance: Tensor, reflectivity: Tensor, probability: Tensor) -> Scatterers:
        """Scatterers without extent."""
        return cls(position, covariance, reflectivity, probability, torch.zeros_like(probability))

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
            self.extent.to(dtype),
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
class NodeEstimate(Record):
    """The nodes as estimated; as listed, without an error, where the estimator takes them as listed.

    Attributes:
        tx_position, rx_position: [B, n_tx, D], [B, n_rx, D], [m].
        tx_position_std, rx_position_std: standard deviation of every coordinate, of the same shapes, [m].
        tx_gain, rx_gain: amplitude gains over the listed ones [B, n_tx], [B, n_rx].
        tx_gain_std, rx_gain_std: standard deviations of their natural logarithms, of the same shapes.
        link_weight: weight of every link in the fit, noise variance over that of its residual, [B, n_tx, n_rx]; 0
            without a link.
    """

    tx_position: Tensor
    rx_position: Tensor
    tx_position_std: Tensor
    rx_position_std: Tensor
    tx_gain: Tensor
    rx_gain: Tensor
    tx_gain_std: Tensor
    rx_gain_std: Tensor
    link_weight: Tensor

    @classmethod
    def as_listed(cls, array: NodeArray, weight: Tensor) -> NodeEstimate:
        """Nodes as listed, and weights of the links [B, n_tx, n_rx]."""
        one, other = torch.ones_like(array.tx[..., 0]), torch.ones_like(array.rx[..., 0])
        return cls(array.tx, array.rx, 0 * array.tx, 0 * array.rx, one, other, 0 * one, 0 * other, weight)


@dataclass(frozen=True)
class Estimate:
    """Estimate for a batch of B scenes.

    Attributes:
        scatterers: one list of scatterers per scene, those in the region of interest.
        outside: one list per scene of echoes from outside the region, which the model needs.
        tx_phase, rx_phase: node phases [B, n_tx, K], [B, n_rx, K], [rad], relative to the node with most links (7).
        tx_phase_std, rx_phase_std: standard deviation of the node phases [B, n_tx], [B, n_rx], [rad], without the mean
            of each side, which cannot be observed without a line of sight; inf if the CSI does not determine the phase.
        nodes: positions and gains of the nodes, and weights of the links.
        pixel_probability: probability that a pixel holds a scatterer [B, N].
        noise_variance: noise variance of the CSI [B]: the given one; if none is given, from subcarriers or singular
            values, else from the residual. It is raised where the residual exceeds it.
        noise_std: standard error of the noise variance [B]; 0 if it was given.
        prediction: predicted noise-free CSI, complex [B, n_tx, n_rx, K].
        residual: mean |y - prediction|^2 over the existing links, with their weights [B].
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
    nodes: NodeEstimate
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
