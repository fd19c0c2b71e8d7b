"""What is fitted to a problem, evaluated once: sources and corrections, the channel they make, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, pad, remove, trim, used_first
from unfolded_ogamp.operators.points import PointColumns
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Correction(Record):
    """What the channel holds beside point scatterers and the assumed line of sight; `mismatch.correction` fits it.

    Attributes:
        extended: scenes with extended targets, bool [B].
        near_field: scenes whose line of sight has near-field terms, bool [B].
        channel: complex [B, n_tx, n_rx, K], in problem units; zero in all other scenes.
        count: number of real coefficients that were fitted for it [B].
    """

    extended: Tensor
    near_field: Tensor
    channel: Tensor
    count: Tensor

    @classmethod
    def none(cls, problem: Problem) -> Correction:
        """Points and the assumed line of sight are all there is."""
        absent = torch.zeros_like(problem.grid.pixel, dtype=torch.bool)
        return cls(absent, absent, torch.zeros_like(problem.csi), torch.zeros_like(problem.grid.pixel))

    @property
    def present(self) -> Tensor:
        """Scenes that are corrected, bool [B]."""
        return self.extended | self.near_field


@dataclass(frozen=True)
class Model(Record):
    """Sources and corrections with all that follows from them, in problem units.

    Attributes:
        sources: scatterers and node phases.
        correction: what the channel holds beside them.
        columns: the exact dictionary on the sources.
        channel: modelled channel h without node phases, line of sight included, complex [B, n_tx, n_rx, K].
        residual: y exp(j Phi) - h, complex [B, n_tx, n_rx, K].
        cost: sum of |residual|^2 over links and subcarriers [B].
    """

    sources: Sources
    correction: Correction
    columns: PointColumns
    channel: Tensor
    residual: Tensor
    cost: Tensor


def evaluate(sources: Sources, problem: Problem, correction: Correction) -> Model:
    """The model of sources and corrections as they are."""
    columns = PointColumns.at(problem.array, sources.position, sources.used, problem.dictionary_scale)
    channel = (columns.channel(sources.reflectivity) + problem.los + correction.channel) * problem.link
    residual = problem.csi * sources.rotation - channel
    return Model(sources, correction, columns, channel, residual, power(residual))


def power(value: Tensor) -> Tensor:
    """Sum of |value|^2 [B] of [B, n_tx, n_rx, K]."""
    return (value.real.square() + value.imag.square()).sum((1, 2, 3))


def remove_sources(model: Model, dropped: Tensor, problem: Problem) -> Model:
    """The model without the sources in `dropped` [B, S], the others as they are."""
    return evaluate(remove(model.sources, dropped), problem, model.correction)


def trim_slots(model: Model) -> Model:
    """Used slots first, and no more slots than the fullest scene needs."""
    if bool(model.sources.used.all()):
        return model
    return replace(model, sources=trim(model.sources), columns=model.columns.slots(used_first(model.sources.used)))


def pad_slots(model: Model, n_slots: int) -> Model:
    """The same model with `n_slots` slots, the new ones unused."""
    return replace(model, sources=pad(model.sources, n_slots), columns=model.columns.padded(n_slots))
