"""Point scatterers and node phases as unknowns; slots let scenes of one batch hold different numbers of scatterers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.physics import NodeArray, Scene, link_phasor
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Nodes(Record):
    """Deviations of the nodes from their list.

    Attributes:
        tx_shift, rx_shift: true minus listed positions [B, n_tx, D], [B, n_rx, D], [m].
        tx_level, rx_level: logarithms of the amplitude gains over the listed ones [B, n_tx], [B, n_rx].
    """

    tx_shift: Tensor
    rx_shift: Tensor
    tx_level: Tensor
    rx_level: Tensor

    @classmethod
    def as_listed(cls, problem: Problem) -> Self:
        """Nodes that are as their list says."""
        tx, rx = problem.array.tx, problem.array.rx
        return cls(
            torch.zeros_like(tx), torch.zeros_like(rx), torch.zeros_like(tx[..., 0]), torch.zeros_like(rx[..., 0])
        )

    @property
    def deviate(self) -> bool:
        """Whether any node of the batch deviates from its list."""
        return any(bool((value != 0).any()) for value in (self.tx_shift, self.rx_shift, self.tx_level, self.rx_level))

    def moved(self, array: NodeArray) -> NodeArray:
        """The listed array with these deviations."""
        if not self.deviate:
            return array
        gains = (
            level.exp() if listed is None else listed * level.exp()
            for listed, level in ((array.tx_gain, self.tx_level), (array.rx_gain, self.rx_level))
        )
        tx_gain, rx_gain = gains
        return replace(
            array, tx=array.tx + self.tx_shift, rx=array.rx + self.rx_shift, tx_gain=tx_gain, rx_gain=rx_gain
        )


@dataclass(frozen=True)
class Sources(Record):
    """Scatterers and nodes of a model; S is the number of slots, used or unused.

    Attributes:
        position: [B, S, D], [m].
        reflectivity: complex [B, S], in problem units; zero in unused slots.
        used: which slots hold a scatterer, bool [B, S].
        tx_phase, rx_phase: one phase per node for all frequencies [B, n_tx], [B, n_rx], [rad].
        nodes: deviations of the nodes from their list.
        moment: moments of extended targets over their reflectivity, complex [B, S, M], see `moments`; zero in unused
            slots. M is zero if all are points.
        coupling: double scattering between the sources, complex [B], see `moments.double_echoes`; zero without moments.
        effective: effective number of unknowns that nodes and moments add [B], see `selfcalibration.priors`.
    """

    position: Tensor
    reflectivity: Tensor
    used: Tensor
    tx_phase: Tensor
    rx_phase: Tensor
    nodes: Nodes
    moment: Tensor
    coupling: Tensor
    effective: Tensor

    @classmethod
    def points(
        cls,
        position: Tensor,
        reflectivity: Tensor,
        used: Tensor,
        phases: tuple[Tensor, Tensor],
        problem: Problem,
    ) -> Self:
        """Point scatterers, at Tx and Rx phases [B, n_tx], [B, n_rx] [rad], nodes as listed."""
        moment = reflectivity.new_zeros(*reflectivity.shape, 0)
        nodes, none = Nodes.as_listed(problem), torch.zeros_like(problem.grid.pixel)
        return cls(position, reflectivity, used, *phases, nodes, moment, none.to(reflectivity), none)

    @classmethod
    def none(cls, problem: Problem, tx_phase: Tensor, rx_phase: Tensor) -> Self:
        """No source, at node phases [B, n_tx] and [B, n_rx], [rad]."""
        batch, dimension = len(problem.csi), problem.grid.centre.shape[-1]
        return cls.points(
            position=problem.grid.centre.new_zeros(batch, 0, dimension),
            reflectivity=problem.csi.new_zeros(batch, 0),
            used=torch.zeros(batch, 0, dtype=torch.bool, device=problem.csi.device),
            phases=(tx_phase, rx_phase),
            problem=problem,
        )

    @classmethod
    def of_scene(cls, scene: Scene, problem: Problem) -> Self:
        """The true scatterers of a scene and its node phases on the first subcarrier, in the units of its problem."""
        exact = scene.to(dtype=problem.link.dtype)
        return cls.points(
            position=exact.position,
            reflectivity=exact.reflectivity.to(problem.csi.dtype) / problem.reflectivity_scale[:, None],
            used=torch.ones_like(exact.position[..., 0], dtype=torch.bool),
            phases=(exact.tx_phase[..., 0], exact.rx_phase[..., 0]),
            problem=problem,
        )

    def with_points(self, position: Tensor, reflectivity: Tensor, used: Tensor) -> Self:
        """These and further slots with points at positions [B, S', D], reflectivities and use [B, S']."""
        moment = reflectivity.new_zeros(*reflectivity.shape, self.moment.shape[-1])
        return replace(
            self,
            position=torch.cat([self.position, position], dim=1),
            reflectivity=torch.cat([self.reflectivity, torch.where(used, reflectivity, 0)], dim=1),
            used=torch.cat([self.used, used], dim=1),
            moment=torch.cat([self.moment, moment], dim=1),
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
        moment=sources.moment.gather(1, order[..., None].expand(-1, -1, sources.moment.shape[-1])) * used[..., None],
    )


def remove(sources: Sources, removed: Tensor) -> Sources:
    """The same slots, with those in `removed`, bool [B, S], unused."""
    used = sources.used & ~removed
    return replace(
        sources,
        used=used,
        reflectivity=torch.where(used, sources.reflectivity, 0),
        moment=torch.where(used[..., None], sources.moment, 0),
    )


def pad(sources: Sources, n_slots: int) -> Sources:
    """The same sources with `n_slots` slots; the new slots are unused."""

    def padded(value: Tensor) -> Tensor:
        return torch.cat([value, value.new_zeros(len(value), n_slots - value.shape[1], *value.shape[2:])], dim=1)

    return replace(
        sources,
        position=padded(sources.position),
        reflectivity=padded(sources.reflectivity),
        used=padded(sources.used),
        moment=padded(sources.moment),
    )
