"""Priors of the nodes and of extended targets: an unknown q has the prior N(0, s_q^2), with a scale s_q per group."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.moments import exponents
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import wrap
from unfolded_ogamp.records import Record

PHASE = 30.0  # [rad]; a prior so wide that it only fixes the gauge
LEAST_PHASE = 1e-3  # [rad]
FIRST_SHIFT = 0.05  # first scale of the shifts of the nodes, in wavelengths
FIRST_LEVEL = 0.2  # first scale of the levels of the nodes, 1.7 dB
FIRST_MOMENT = 0.3  # first scale of the moments, over the reflectivity
LEAST_SHIFT, LEAST_LEVEL, LEAST_MOMENT = 1e-4, 1e-3, 1e-3  # least scales, in the same units


@dataclass(frozen=True)
class Scales(Record):
    """Prior standard deviations.

    Attributes:
        phase: of the node phases [B, n_tx + n_rx], [rad]; nan if they are unknown.
        shift: of every coordinate of a node [B, n_tx + n_rx], Tx first, [m].
        level: of the logarithm of the gain of a node [B, n_tx + n_rx].
        moment: of the complex moments [B].
        coupling: of the complex coupling [B].
    """

    phase: Tensor
    shift: Tensor
    level: Tensor
    moment: Tensor
    coupling: Tensor

    @classmethod
    def least(cls, problem: Problem) -> Scales:
        """The least scales, which leave nothing free."""
        first, wavelength = cls.first(problem), problem.array.wavelength[:, None]
        return cls(
            phase=first.phase,
            shift=torch.zeros_like(first.shift) + LEAST_SHIFT * wavelength,
            level=torch.full_like(first.level, LEAST_LEVEL),
            moment=torch.full_like(first.moment, LEAST_MOMENT),
            coupling=torch.full_like(first.coupling, LEAST_MOMENT),
        )

    @classmethod
    def first(cls, problem: Problem) -> Scales:
        """Scales before any fit: those of the file where it has some."""
        wavelength = problem.array.wavelength[:, None]
        shift, level = problem.node_std.clamp(min=LEAST_SHIFT * wavelength), problem.gain_std.clamp(min=LEAST_LEVEL)
        return cls(
            phase=problem.phase_std.clamp(min=LEAST_PHASE),
            shift=torch.where(problem.node_std.isnan(), FIRST_SHIFT * wavelength, shift),
            level=torch.where(problem.gain_std.isnan(), FIRST_LEVEL, level),
            moment=torch.full_like(problem.grid.pixel, FIRST_MOMENT),
            coupling=torch.ones_like(problem.grid.pixel),
        )


@dataclass(frozen=True)
class Prior:
    """Gaussian priors of all unknowns, in the order of `likelihood.jacobian`.

    Attributes:
        precision: inverse variances [B, P]; zero without a prior.
        deviation: unknowns minus prior means [B, P]; zero without a prior.
        group: 0 without a scale, 1 for shifts, 2 for levels, 3 for moments, 4 for the coupling, int64 [P].
    """

    precision: Tensor
    deviation: Tensor
    group: Tensor

    @property
    def cost(self) -> Tensor:
        """Sum of squared deviations over their variances [B]."""
        return (self.precision * self.deviation.square()).sum(1)


def prior(sources: Sources, scales: Scales) -> Prior:
    """Priors of all unknowns of sources, nodes included."""
    batch, n_slots, dimension = sources.position.shape
    nodes = sources.nodes
    free = sources.position.new_zeros(batch, n_slots * (dimension + 2))
    moments = torch.cat([sources.moment.real.flatten(1), sources.moment.imag.flatten(1)], dim=1)
    # real and imaginary part have half the variance each
    of_moments = (2 / scales.moment.square())[:, None].expand_as(moments)
    coupling = torch.view_as_real(sources.coupling)[:, : 2 if sources.moment.shape[-1] else 0]
    of_coupling = (2 / scales.coupling.square())[:, None].expand_as(coupling)
    shift = torch.cat([nodes.tx_shift, nodes.rx_shift], dim=1)
    level = torch.cat([nodes.tx_level, nodes.rx_level], dim=1)[..., None]
    # the prior of unknown phases only fixes the gauge: it pulls them nowhere
    phase = torch.cat([sources.tx_phase, sources.rx_phase], dim=1)[..., None]
    told = ~scales.phase.isnan()[..., None]
    of_nodes = [
        torch.where(told, scales.phase.square().reciprocal()[..., None], PHASE**-2),
        scales.shift.square().reciprocal()[..., None].expand_as(shift),
        scales.level.square().reciprocal()[..., None],
    ]
    of_image = [torch.zeros_like(free), of_moments, of_coupling]
    precision = torch.cat([*of_image, torch.cat(of_nodes, dim=2).flatten(1)], dim=1)
    nodes_away = torch.cat([torch.where(told, wrap(phase), 0), shift, level], dim=2)
    deviation = torch.cat([free, moments, coupling, nodes_away.flatten(1)], dim=1)
    node = torch.tensor([0, *[1] * dimension, 2], device=free.device).repeat(level.shape[1])
    counts = torch.tensor([free.shape[1], moments.shape[1], coupling.shape[1]], device=free.device)
    image = torch.tensor([0, 3, 4], device=free.device).repeat_interleave(counts)
    group = torch.cat([image, node])
    return Prior(precision, deviation, group)


def with_moments(sources: Sources) -> Sources:
    """The same sources with moments of zero."""
    count = len(exponents(sources.position.shape[-1]))
    return replace(sources, moment=sources.reflectivity.new_zeros(*sources.reflectivity.shape, count))
