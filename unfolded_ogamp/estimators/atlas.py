"""Positions that are searched for echoes, finer than the pixels, with their dictionary."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from unfolded_ogamp.estimators.problem import Problem
from unfolded_ogamp.operators import MultistaticOperator, gain_constant, node_factor
from unfolded_ogamp.physics import distances
from unfolded_ogamp.records import Record


def fine_positions(problem: Problem, spacing: float) -> Tensor:
    """Positions [B, Q, D] [m] that fill every pixel evenly, at most `spacing` wavelengths apart along a coordinate."""
    pixel = problem.grid.pixel[:, None, None]
    count = int(per_axis(problem, spacing).amax())
    axis = [(i - (count - 1) / 2) / count for i in range(count)]
    inside = torch.tensor(list(itertools.product(axis, repeat=problem.grid.centre.shape[-1]))).to(pixel)
    return (problem.grid.centre[:, :, None] + pixel[:, None] * inside).flatten(1, 2)


def per_axis(problem: Problem, spacing: float) -> Tensor:
    """Positions along a coordinate of a pixel [B]."""
    return (problem.grid.pixel / problem.array.wavelength / spacing - 1e-6).ceil().clamp(min=1)


@dataclass(frozen=True)
class Atlas(Record):
    """Where echoes are looked for, in a dictionary of single precision: a peak is only where refinement begins.

    Attributes:
        position: [B, Q, D], [m].
        operator: their dictionary.
        energy: |atom|^2 over the links [B, Q].
        count: positions that a scene would have by itself [B]; beside scenes of larger pixels it gets more.
    """

    position: Tensor
    operator: MultistaticOperator
    energy: Tensor
    count: Tensor

    @classmethod
    def of(cls, problem: Problem, spacing: float) -> Atlas:
        """The atlas of `fine_positions`."""
        position = fine_positions(problem, spacing)
        constant = (gain_constant(problem.array) / problem.dictionary_scale).float()[:, None, None, None]
        tx, rx = (
            node_factor(problem.array, distances(nodes, position).float(), gain) for nodes, gain in problem.array.sides
        )
        # a position on a node makes no echo
        far = torch.isfinite(tx.sum((1, 2), keepdim=True)) & torch.isfinite(rx.sum((1, 2), keepdim=True))
        operator = MultistaticOperator(torch.where(far, tx * constant, 0), torch.where(far, rx, 0))
        link = problem.link.float().expand_as(problem.csi.real)
        energy = operator.energy_adjoint(link)[:, 0]
        count = problem.grid.centre.shape[1] * per_axis(problem, spacing) ** position.shape[2]
        return cls(position, operator, torch.where(energy > 0, energy, 1), count)

    def back_project(self, residual: Tensor) -> Tensor:
        """Normalised image a^H r / |a| of [B, n_tx, n_rx, K]: complex [B, Q]."""
        return self.operator.adjoint(residual.to(torch.complex64))[:, 0] * self.energy.rsqrt()

    def channel(self, image: Tensor) -> Tensor:
        """The adjoint of `back_project`: [B, Q] -> [B, n_tx, n_rx, K]."""
        return self.operator.forward((image * self.energy.rsqrt())[:, None])
