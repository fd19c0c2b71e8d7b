"""The model of the CSI: scatterers and nodes, the channel that they predict, and the residual."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging import moments
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, pad, remove, trim, used_first
from unfolded_ogamp.operators.points import PointColumns
from unfolded_ogamp.physics import los_channel
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Model(Record):
    """Scatterers and nodes, and all quantities that follow from them, in problem units.

    Attributes:
        sources: scatterers and nodes.
        columns: dictionary columns at the source positions, exact (no expansion), of the nodes where they are.
        channel: predicted channel h without node phases, line of sight included, times the root of the weight of a
            link, complex [B, n_tx, n_rx, K].
        residual: y exp(j Phi) - h times the root of the weight of a link, complex [B, n_tx, n_rx, K].
        cost: sum of |residual|^2 over links and subcarriers [B].
    """

    sources: Sources
    columns: PointColumns
    channel: Tensor
    residual: Tensor
    cost: Tensor


def evaluate(sources: Sources, problem: Problem) -> Model:
    """Compute the model of given sources; nothing is fitted."""
    array = sources.nodes.moved(problem.array)
    columns = PointColumns.at(array, sources.position, sources.used, problem.dictionary_scale)
    scattered = columns.channel(sources.reflectivity)
    if sources.moment.shape[-1]:
        scattered = scattered + moments.channel(array, columns, sources.position, sources.moment, sources.reflectivity)
        double = moments.double_echoes(array, columns, sources.position, sources.reflectivity)
        scattered = scattered + sources.coupling[:, None, None, None] * double
    channel = (scattered + line_of_sight(sources, problem)) * problem.link
    residual = problem.csi * sources.rotation - channel
    return Model(sources, columns, channel, residual, power(residual))


def line_of_sight(sources: Sources, problem: Problem) -> Tensor:
    """The assumed line of sight [B, n_tx, n_rx, K]; that of free space moves with the nodes."""
    if not (sources.nodes.deviate and bool(problem.has_los.any())):
        return problem.los
    ratio = los_channel(sources.nodes.moved(problem.array)) / los_channel(problem.array)
    return torch.where(problem.los_is_free_space[:, None, None, None], problem.los * ratio, problem.los)


def power(value: Tensor) -> Tensor:
    """Sum of |value|^2 over links and subcarriers: [B, n_tx, n_rx, K] to [B]."""
    return (value.real.square() + value.imag.square()).sum((1, 2, 3))


def remove_sources(model: Model, removed: Tensor, problem: Problem) -> Model:
    """The model without the sources in `removed`, bool [B, S]; the others do not change."""
    return evaluate(remove(model.sources, removed), problem)


def trim_slots(model: Model) -> Model:
    """The same model with used slots first, and only as many slots as the scene with most sources needs."""
    if bool(model.sources.used.all()):
        return model
    return replace(model, sources=trim(model.sources), columns=model.columns.slots(used_first(model.sources.used)))


def pad_slots(model: Model, n_slots: int) -> Model:
    """The same model with `n_slots` slots; the new slots are unused."""
    return replace(model, sources=pad(model.sources, n_slots), columns=model.columns.padded(n_slots))
