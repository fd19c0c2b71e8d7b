"""Point scatterers and node phases as unknowns; slots let scenes of one batch hold different numbers of scatterers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import Scene, link_phasor
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Sources(Record):
    """Point scatterers and node phases of a model; S is the number of slots, used or unused.

    Attributes:
        position: [B, S, D], [m].
        reflectivity: complex [B, S], in problem units; zero in unused slots.
        used: which slots hold a scatterer, bool [B, S].
        tx_phase, rx_phase: one phase per node for all frequencies [B, n_tx], [B, n_rx], [rad].
    """

    position: Tensor
    reflectivity: Tensor
    used: Tensor
    tx_phase: Tensor
    rx_phase: Tensor

    @classmethod
    def none(cls, problem: Problem, tx_phase: Tensor, rx_phase: Tensor) -> Self:
        """No source, at node phases [B, n_tx] and [B, n_rx], [rad]."""
        batch, dimension = len(problem.csi), problem.grid.centre.shape[-1]
        return cls(
            position=problem.grid.centre.new_zeros(batch, 0, dimension),
            reflectivity=problem.csi.new_zeros(batch, 0),
            used=torch.zeros(batch, 0, dtype=torch.bool, device=problem.csi.device),
            tx_phase=tx_phase,
            rx_phase=rx_phase,
        )

    @classmethod
    def of_scene(cls, scene: Scene, problem: Problem) -> Self:
        """The true scatterers of a scene and its node phases on the first subcarrier, in the units of its problem."""
        exact = scene.to(dtype=problem.link.dtype)
        return cls(
            position=exact.position,
            reflectivity=exact.reflectivity.to(problem.csi.dtype) / problem.reflectivity_scale[:, None],
            used=torch.ones_like(exact.position[..., 0], dtype=torch.bool),
            tx_phase=exact.tx_phase[..., 0],
            rx_phase=exact.rx_phase[..., 0],
        )

    @property
    def rotation(self) -> Tensor:
        """exp(j Phi) [B, n_tx, n_rx, 1]: the factor that removes the node phases from the CSI."""
        return link_phasor(self.tx_phase[..., None], self.rx_phase[..., None])


def used_first(used: Tensor) -> Tensor:
    """Indices of slots [B, S'], those in `used` [B, S] first; S' is the largest number of used slots in a scene."""
    order = used.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    return order[:, : int(used.sum(1).max())]


def trim(sources: Sources) -> Sources:
    """The same sources with used slots first, and only as many slots as the scene with most sources needs."""
    order = used_first(sources.used)
    used = sources.used.gather(1, order)
    return replace(
        sources,
        position=sources.position.gather(1, order[..., None].expand(-1, -1, sources.position.shape[-1])),
        reflectivity=torch.where(used, sources.reflectivity.gather(1, order), 0),
        used=used,
    )


def remove(sources: Sources, removed: Tensor) -> Sources:
    """The same slots, with those in `removed`, bool [B, S], unused."""
    used = sources.used & ~removed
    return replace(sources, used=used, reflectivity=torch.where(used, sources.reflectivity, 0))


def pad(sources: Sources, n_slots: int) -> Sources:
    """The same sources with `n_slots` slots; the new slots are unused."""
    batch, old, dimension = sources.position.shape
    return replace(
        sources,
        position=torch.cat([sources.position, sources.position.new_zeros(batch, n_slots - old, dimension)], dim=1),
        reflectivity=torch.cat([sources.reflectivity, sources.reflectivity.new_zeros(batch, n_slots - old)], dim=1),
        used=torch.cat([sources.used, sources.used.new_zeros(batch, n_slots - old)], dim=1),
    )
