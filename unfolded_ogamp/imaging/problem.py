"""The estimation problem in problem units: of order one for any range, wavelength and scale of the CSI."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from unfolded_ogamp.operators.multistatic import dictionary_scale
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, isolated_nodes, los_channel
from unfolded_ogamp.records import Record

DEVIATING_NODE = 1 / 60  # in wavelengths: 0.1 rad of phase
DEVIATING_GAIN = 0.1  # of the natural logarithm: 0.9 dB
NEPER = math.log(10) / 20  # natural logarithm of an amplitude ratio of 1 dB
SAME = 1e-3  # largest relative difference of a free-space line of sight; covers single precision


@dataclass(frozen=True)
class Problem(Record):
    """CSI and geometry in problem units, the input of an estimator; it never changes.

    Attributes:
        array, grid: geometry.
        csi: measured CSI in problem units, complex [B, n_tx, n_rx, K], zero where there is no link.
        los: line-of-sight part of the reference channel in problem units, [B, n_tx, n_rx, K], zero where there is none.
        trusted: 1.0 if the line of sight of a link may be used for synchronisation, else 0.0: [B, n_tx, n_rx, 1].
        link: root of the weight of the link, 1.0 if it is measured, else 0.0, see `weighted`: [B, n_tx, n_rx, 1].
        noise_variance: noise variance in problem units [B]; 0 if it is unknown.
        noise_std: standard error of the noise variance [B]; 0 if the noise variance is given or unknown.
        least_count: lower bound of the number of scatterers, the rank of the links' matrix, int64 [B]; 0 if unknown.
        phases_known: scenes whose node phases are zero, bool [B].
        phase_std: standard deviation of the node phases about zero [B, n_tx + n_rx], [rad]; nan if unknown.
        node_std: standard deviation of every coordinate of the listed nodes [B, n_tx + n_rx], [m]; nan if unknown.
        gain_std: standard deviation of the natural logarithm of a gain [B, n_tx + n_rx]; nan if unknown.
        dictionary_scale: gain that is 1 in problem units [B].
        reflectivity_scale: reflectivity that is 1 in problem units [B].
    """

    array: NodeArray
    grid: PixelGrid
    csi: Tensor
    los: Tensor
    trusted: Tensor
    link: Tensor
    noise_variance: Tensor
    noise_std: Tensor
    least_count: Tensor
    phases_known: Tensor
    phase_std: Tensor
    node_std: Tensor
    gain_std: Tensor
    dictionary_scale: Tensor
    reflectivity_scale: Tensor

    @property
    def unit(self) -> Tensor:
        """CSI amplitude that is 1 in problem units [B]."""
        return self.dictionary_scale * self.reflectivity_scale

    @property
    def n_samples(self) -> Tensor:
        """Number of complex samples of the CSI [B], on links of any weight."""
        return (self.link > 0).sum((1, 2, 3)).to(self.link) * self.csi.shape[-1]

    @property
    def los_is_free_space(self) -> Tensor:
        """Scenes whose line of sight is that of free space (9), up to a common factor, on all its links: bool [B]."""
        there = self.los.abs() > 0
        ratio = self.los / los_channel(self.array)
        mean = torch.where(there, ratio, 0).sum((1, 2, 3)) / there.sum((1, 2, 3)).clamp(min=1)
        apart = (ratio - mean[:, None, None, None]).abs() > SAME * mean.abs()[:, None, None, None]
        return there.any(-1).any(-1).any(-1) & ~(there & apart).any(-1).any(-1).any(-1)

    def weighted(self, weight: Tensor) -> Self:
        """The problem with weights of the links [B, n_tx, n_rx, 1], which divide the noise variance of a link."""
        root = weight.sqrt()
        return replace(self, csi=self.csi * root, link=self.link * root)

    @property
    def has_los(self) -> Tensor:
        """Scenes with a line of sight in the reference channel; bool [B]."""
        return (self.los != 0).any(3).any(2).any(1)

    @property
    def without_los(self) -> tuple[Tensor, Tensor]:
        """Tx [B, n_tx] and Rx [B, n_rx] without a trusted line of sight in scenes where others have one; bool."""
        trusted = self.trusted[..., 0] > 0
        without = isolated_nodes(trusted) & trusted.any((1, 2))[:, None]
        tx, rx = without.split(list(trusted.shape[1:]), dim=1)
        return tx, rx

    def search_grid(self, spacing: float) -> SearchGrid:
        """The search grid: positions in all pixels, at most `spacing` wavelengths apart along a coordinate."""
        return SearchGrid.of(self.array, self.grid, self.link, self.dictionary_scale, spacing)

    @property
    def phases_told(self) -> Tensor:
        """Scenes with a prior of the node phases, bool [B]."""
        return ~self.phase_std.isnan().any(1)

    @property
    def needs_priors(self) -> Tensor:
        """Scenes with a prior of the node phases, or with nodes so far off their list that a fit must follow: [B]."""
        far = self.node_std > DEVIATING_NODE * self.array.wavelength[:, None]
        return (far | (self.gain_std > DEVIATING_GAIN)).any(1) | self.phases_told

    @property
    def unweighted(self) -> Self:
        """The problem with a weight of one for every measured link."""
        root = torch.where(self.link > 0, self.link, 1)
        return replace(self, csi=self.csi / root, link=(self.link > 0).to(self.link))

    def mean_power(self, residual: Tensor) -> Tensor:
        """Weighted mean of |residual|^2 [B] over the links and the subcarriers of [B, n_tx, n_rx, K]."""
        power = residual.real.square() + residual.imag.square()
        return (power * self.link.square()).sum((1, 2, 3)) / self.n_samples


def pose(csi: Csi, array: NodeArray, grid: PixelGrid, expected_count: Tensor | None) -> Problem:
    """Convert CSI and geometry to problem units.

    Args:
        csi, array, grid: CSI and geometry; batches of the same size and precision.
        expected_count: expected number of scatterers [B]. With the mean scattered power of the CSI, it gives the scale
            of the reflectivity; None sets that scale to one, as the paper does.

    Raises:
        ValueError: if shapes do not match.
    """
    _check(csi, array, grid)
    link = csi.link[..., None].to(grid.centre.dtype)
    dictionary = dictionary_scale(array, grid.centre, nearest=grid.pixel / 2)
    los = torch.where(csi.los[..., None], csi.los_channel, 0)
    reflectivity = torch.ones_like(dictionary)
    if expected_count is not None:
        count = link.sum((1, 2, 3)) * csi.value.shape[-1]
        power = (csi.value.abs().square() - los.abs().square()).mul(link).sum((1, 2, 3)) / count
        total = csi.value.abs().square().mul(link).sum((1, 2, 3)) / count
        if csi.noise_variance is not None:
            power = power - csi.noise_variance
        # at least a hundredth of the power: noise variance or line of sight can be larger than the power itself
        reflectivity = torch.maximum(power, 0.01 * total).div(expected_count).sqrt() / dictionary
        reflectivity = torch.where(reflectivity > 0, reflectivity, 1)
    nodes = torch.zeros_like(torch.cat([array.tx, array.rx], dim=1)[..., 0])
    unit, unknown = dictionary * reflectivity, torch.zeros_like(dictionary)
    return Problem(
        array=array,
        grid=grid,
        csi=csi.value * link / unit[:, None, None, None],
        los=los * link / unit[:, None, None, None],
        trusted=(csi.los_trusted & csi.los & csi.link)[..., None].to(link.dtype),
        link=link,
        noise_variance=unknown if csi.noise_variance is None else csi.noise_variance / unit.square(),
        noise_std=unknown,
        least_count=unknown.long(),
        phases_known=unknown > 0 if csi.phases_known is None else csi.phases_known,
        phase_std=nodes * torch.nan if csi.phase_std is None else csi.phase_std.to(nodes),
        node_std=nodes * torch.nan if csi.node_std is None else csi.node_std.to(nodes),
        gain_std=nodes * torch.nan if csi.gain_std is None else 0 * nodes + csi.gain_std[:, None].to(nodes) * NEPER,
        dictionary_scale=dictionary,
        reflectivity_scale=reflectivity,
    )


def _check(csi: Csi, array: NodeArray, grid: PixelGrid) -> None:
    expected = (*array.tx.shape[:2], array.rx.shape[1], array.frequency.shape[1])
    if tuple(csi.value.shape) != expected:
        raise ValueError(f"csi must be [B, n_tx, n_rx, K] = {expected} to fit the array, got {tuple(csi.value.shape)}")
    if grid.centre.shape[::2] != array.tx.shape[::2]:
        raise ValueError(
            f"grid.centre must be [{array.tx.shape[0]}, N, {array.tx.shape[2]}] to fit the array, "
            f"got {tuple(grid.centre.shape)}"
        )
