"""Greedy estimation: Newtonised orthogonal matching pursuit on exact bistatic atoms, node phases included.

A round looks for the strongest echoes in what is not explained yet, adds them, fits the node phases, and lets all
positions, reflectivities and phases move together. It ends when nothing stands out of the noise. Where the residual is
then more than the noise allows, another start from random node phases may find the way that this one missed.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.estimate import Estimate, History, Scatterers
from unfolded_ogamp.estimators import joint, synchronisation
from unfolded_ogamp.estimators.joint import JointState, Sources
from unfolded_ogamp.estimators.problem import Problem, pose
from unfolded_ogamp.estimators.synchronisation import NodePhases, SynchronisationSettings
from unfolded_ogamp.operators import MultistaticOperator
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.records import Record, choose, concatenate


@dataclass(frozen=True)
class GreedySettings:
    """Settings of the greedy estimator; lengths are in carrier wavelengths.

    Attributes:
        spacing: largest distance between the positions that are searched.
        false_alarm: probability that noise alone adds a scatterer to a scene: the threshold of detection.
        share: candidates of a round have at least this share of the strongest one's matched-filter power.
        separation: least distance between two candidates of one round.
        merge_radius: scatterers closer than this are one.
        phase_count: scatterers without which the node phases are not fitted: fewer leave them too free.
        steps: joint steps in a round.
        final_steps: joint steps after the last round.
        largest_move: largest change of a position in a joint step.
        rounds: largest number of rounds in a start.
        starts: largest number of starts.
        margin: standard deviations of the noise power by which the residual of a good start may exceed the noise.
        seed: of the random node phases of all starts but the first.
    """

    spacing: float = 1 / 6
    false_alarm: float = 1e-3
    share: float = 0.5
    separation: float = 0.5
    merge_radius: float = 0.125
    phase_count: int = 3
    steps: int = 4
    final_steps: int = 20
    largest_move: float = 0.1
    rounds: int = 40
    starts: int = 20
    margin: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("spacing", "false_alarm", "share", "separation", "merge_radius", "largest_move", "margin"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("phase_count", "steps", "final_steps", "rounds", "starts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Atlas(Record):
    """Where echoes are looked for: positions [B, Q, D] [m], their dictionary, and |atom|^2 over the links [B, Q].

    It is kept in single precision: a peak is only where refinement begins.
    """

    position: Tensor
    operator: MultistaticOperator
    energy: Tensor

    @classmethod
    def of(cls, problem: Problem, spacing: float) -> Atlas:
        """Positions that cover every pixel at most `spacing` wavelengths apart."""
        pixel = problem.grid.pixel[:, None, None]
        count = max(1, math.ceil(float((problem.grid.pixel / problem.array.wavelength).amax()) / spacing))
        axis = [(i - (count - 1) / 2) / count for i in range(count)]
        inside = torch.tensor(list(itertools.product(axis, repeat=problem.grid.centre.shape[-1]))).to(pixel)
        position = (problem.grid.centre[:, :, None] + pixel[:, None] * inside).flatten(1, 2)
        operator = MultistaticOperator.at(problem.array, position, problem.dictionary_scale).to(torch.float32)
        link = problem.link.float().expand_as(problem.csi.real)
        return cls(position, operator, operator.energy_adjoint(link)[:, 0])


@dataclass(frozen=True)
class GreedyState(Record):
    """State between two rounds: the joint state, and which scenes go on, bool [B]."""

    joint: JointState
    running: Tensor


def init(problem: Problem, phases: NodePhases) -> GreedyState:
    """No scatterer yet, node phases [B, n, 1] as given."""
    batch, dimension = len(problem.csi), problem.grid.centre.shape[-1]
    position = problem.grid.centre.new_zeros(batch, 0, dimension)
    reflectivity = problem.csi.new_zeros(batch, 0)
    used = torch.zeros(batch, 0, dtype=torch.bool, device=problem.csi.device)
    sources = Sources(position, reflectivity, used, phases.tx[..., 0], phases.rx[..., 0])
    return GreedyState(joint.init(sources, problem), torch.ones_like(used[:, :1].any(1)) | True)


def step(state: GreedyState, problem: Problem, atlas: Atlas, settings: GreedySettings) -> GreedyState:
    """One round: look, add, fit the phases, move everything, merge and prune. Scenes in which nothing is added end."""
    sources = state.joint.sources
    count = sources.used.sum(1)
    grown = add(sources, problem, atlas, settings, limit=1 + count // 3)
    added = grown.used.sum(1) > count
    running = state.running & added
    if not running.any():
        return replace(state, running=running)
    grown = align(grown, problem, settings)
    moved = refine(joint.init(grown, problem), problem, settings, settings.steps)
    tidied = joint.init(tidy(moved.sources, problem, settings), problem)
    kept = _padded(sources, tidied.sources.used.shape[1])
    before = replace(state.joint, sources=kept)
    return GreedyState(choose(running, tidied, before), running)


def refine(state: JointState, problem: Problem, settings: GreedySettings, steps: int) -> JointState:
    """Joint steps, of the node phases only where there are scatterers or lines of sight enough."""
    free = phases_free(state.sources, problem, settings)
    for _ in range(steps):
        state = joint.step(state, problem, free, settings.largest_move)
    return state


def phases_free(sources: Sources, problem: Problem, settings: GreedySettings) -> Tensor:
    """Scenes in which the node phases are fitted, bool [B]."""
    return (sources.used.sum(1) >= settings.phase_count) | (problem.los.abs().sum((1, 2, 3)) > 0)


def noise_power(state_cost: Tensor, sources: Sources, problem: Problem) -> Tensor:
    """Noise variance [B] that the residual shows, degrees of freedom taken off."""
    samples = problem.link.sum((1, 2, 3)) * problem.csi.shape[-1]
    nodes = sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    unknowns = sources.used.sum(1) * (sources.position.shape[-1] + 2) + nodes
    return state_cost / (samples - unknowns / 2).clamp(min=1.0)


def threshold(atlas_size: int, settings: GreedySettings) -> float:
    """Matched-filter power over noise that noise alone exceeds somewhere with probability `false_alarm`."""
    return math.log(atlas_size / settings.false_alarm)


def add(sources: Sources, problem: Problem, atlas: Atlas, settings: GreedySettings, limit: Tensor) -> Sources:
    """The sources and the strongest echoes of the residual, at most `limit` [B] of them, each as the matched filter
    sees it."""
    difference, _ = joint.residual(sources, problem, joint.Columns.at(sources, problem))
    cost = joint.power(difference)
    correlation = atlas.operator.adjoint(difference.to(torch.complex64))[:, 0]
    response = (correlation.real.square() + correlation.imag.square()) / atlas.energy
    least = threshold(response.shape[1], settings) * noise_power(cost, sources, problem)
    least = torch.maximum(least, settings.share * response.amax(1))
    radius = settings.separation * problem.array.wavelength
    rows = torch.arange(len(response), device=response.device)
    samples = problem.link.sum((1, 2, 3)) * problem.csi.shape[-1]
    room = (samples / (sources.position.shape[-1] + 2)).long() - sources.used.sum(1)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for number in range(int(limit.max())):
        value, index = response.max(1)
        new = (value >= least) & (number < limit) & (number < room)
        if not new.any():
            break
        position = atlas.position[rows, index]
        reflectivity = (correlation[rows, index] / atlas.energy[rows, index]).to(sources.reflectivity.dtype)
        found.append((position, torch.where(new, reflectivity, 0), new))
        near = (atlas.position - position[:, None]).square().sum(-1) < radius.square()[:, None]
        response = response.masked_fill(near, 0.0)
    if not found:
        return sources
    position, reflectivity, new = (torch.stack(parts, dim=1) for parts in zip(*found, strict=True))
    return compact(
        replace(
            sources,
            position=torch.cat([sources.position, position], 1),
            reflectivity=torch.cat([sources.reflectivity, reflectivity], 1),
            used=torch.cat([sources.used, new], 1),
        )
    )


def compact(sources: Sources) -> Sources:
    """Used slots first, and no more slots than the fullest scene needs."""
    order = sources.used.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    order = order[:, : int(sources.used.sum(1).max())] if order.shape[1] else order
    used = sources.used.gather(1, order)
    index = order[..., None].expand(-1, -1, sources.position.shape[-1])
    return replace(
        sources,
        position=sources.position.gather(1, index),
        reflectivity=torch.where(used, sources.reflectivity.gather(1, order), 0),
        used=used,
    )


def _padded(sources: Sources, n_slots: int) -> Sources:
    """The same sources with `n_slots` slots."""
    extra = n_slots - sources.used.shape[1]
    if extra <= 0:
        return sources
    batch, _, dimension = sources.position.shape
    return replace(
        sources,
        position=torch.cat([sources.position, sources.position.new_zeros(batch, extra, dimension)], 1),
        reflectivity=torch.cat([sources.reflectivity, sources.reflectivity.new_zeros(batch, extra)], 1),
        used=torch.cat([sources.used, sources.used.new_zeros(batch, extra)], 1),
    )


def align(sources: Sources, problem: Problem, settings: GreedySettings) -> Sources:
    """Node phases fitted to the modelled channel by power iteration, (24), where they are fitted at all."""
    _, channel = joint.residual(sources, problem, joint.Columns.at(sources, problem))
    zero = torch.zeros_like(sources.tx_phase[..., None]), torch.zeros_like(sources.rx_phase[..., None])
    phases = NodePhases(sources.tx_phase[..., None], sources.rx_phase[..., None], *zero)
    how = SynchronisationSettings(method="alignment", alignment_iterations=20, per_frequency=False)
    fitted = synchronisation.step(problem.csi, channel, problem.link, phases, how, 1.0, 0.0)
    free = phases_free(sources, problem, settings)[:, None]
    return replace(
        sources,
        tx_phase=torch.where(free, fitted.tx[..., 0], sources.tx_phase),
        rx_phase=torch.where(free, fitted.rx[..., 0], sources.rx_phase),
    )


def tidy(sources: Sources, problem: Problem, settings: GreedySettings) -> Sources:
    """Merge what is too close, drop what does not stand out of the noise or has left the region."""
    columns = joint.Columns.at(sources, problem)
    cost = joint.power(joint.residual(sources, problem, columns)[0])
    n_slots = sources.used.shape[1]
    energy = columns.gram(problem.link).diagonal(dim1=1, dim2=2)[:, :n_slots].real
    strength = sources.reflectivity.abs().square() * energy
    n_positions = problem.grid.centre.shape[1]
    least = threshold(n_positions, settings) * noise_power(cost, sources, problem)
    edge = problem.grid.pixel[:, None, None]
    low, high = problem.grid.centre.amin(1, keepdim=True) - edge, problem.grid.centre.amax(1, keepdim=True) + edge
    inside = ((sources.position > low) & (sources.position < high)).all(-1)
    used = sources.used & (strength > least[:, None]) & inside

    distance = torch.cdist(sources.position, sources.position)
    close = distance < settings.merge_radius * problem.array.wavelength[:, None, None]
    stronger = (strength[:, None] > strength[:, :, None]) & used[:, None]
    absorbed = used & (close & stronger).any(2)
    # what is absorbed goes to the strongest one nearby
    target = torch.where(close & stronger, strength[:, None], 0.0).argmax(2)
    given = torch.where(absorbed, sources.reflectivity, 0)
    reflectivity = sources.reflectivity.scatter_add(1, target, given)
    return compact(replace(sources, reflectivity=reflectivity, used=used & ~absorbed))


def run(problem: Problem, atlas: Atlas, phases: NodePhases, settings: GreedySettings) -> tuple[JointState, list[Tensor]]:
    """One start to its end; returns it and the cost [B] after every round."""
    state, costs = init(problem, phases), []
    for _ in range(settings.rounds):
        state = step(state, problem, atlas, settings)
        costs.append(state.joint.cost)
        if not state.running.any():
            state = finish(state, problem, settings)
            again = step(replace(state, running=torch.ones_like(state.running)), problem, atlas, settings)
            if not again.running.any():
                break
            state = again
    return finish(state, problem, settings).joint, costs


def finish(state: GreedyState, problem: Problem, settings: GreedySettings) -> GreedyState:
    """Joint steps to convergence, and what no longer stands out is dropped."""
    moved = refine(state.joint, problem, settings, settings.final_steps)
    sources = tidy(moved.sources, problem, settings)
    if torch.equal(sources.used.sum(1), moved.sources.used.sum(1)):
        return replace(state, joint=moved)
    return replace(state, joint=refine(joint.init(sources, problem), problem, settings, settings.steps))
