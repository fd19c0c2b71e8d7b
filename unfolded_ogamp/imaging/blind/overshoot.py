"""Overshoot and swap: fits of one scene from many random node phases at once, for few nodes without synchronisation.

From wrong node phases a greedy fit ends in a trap, where one more source always lowers the residual. A model of more
sources than there are scatterers leaves many traps: the sources in excess let the others move to their places, and are
the least certain ones afterwards. Most of the time of a step is overhead, so a large batch of starts takes hardly
longer than a small one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch

from unfolded_ogamp.imaging.blind.growth import best, copies, fit, grow, without_least_certain, without_sources
from unfolded_ogamp.imaging.blind.settings import OvershootSettings
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.phases import autofocus, refinement
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.inference.node_phases import fit_phases
from unfolded_ogamp.operators.written_grid import WrittenGrid
from unfolded_ogamp.physics import link_phasor
from unfolded_ogamp.records import concatenate

LINE_OF_SIGHT_SHARE = 0.5  # of the trusted lines of sight in a start: echoes may disturb the only one of a node


@torch.no_grad()
def proposals(
    problem: Problem,
    count: int,
    generator: torch.Generator,
    settings: OvershootSettings,
    given: NodePhases | None = None,
) -> Iterator[Model]:
    """Fits of one scene, batch after batch without end, each batch with its lowest cost first.

    A batch grows from random node phases. In the following cycles its best models lose their least certain sources and
    grow again, while this lowers the cost. As the rank is a lower bound, every second batch grows by one source more.
    No model has as many real unknowns as there are complex samples; if this forbids even one source, there is no fit.

    Args:
        problem: one scene (a batch of one) in double precision.
        count: rank of the links' matrix, a lower bound of the number of scatterers.
        generator: random numbers of the starts.
        settings: settings of the search.
        given: node phases [1, n, 1] near which to start, [rad]; None for uniform random phases.

    Raises:
        MemoryLimitError: if there is no memory for the search grid.
    """
    if model_sizes(problem, count, settings.extra, settings)[1] < 1:
        return
    images, coarse = (
        WrittenGrid.of(problem.search_grid(spacing), problem.link)
        for spacing in (settings.spacing, settings.autofocus.spacing)
    )
    for number in itertools.count():
        low, top = model_sizes(problem, count, settings.extra + number // 2, settings)
        phases = start_phases(problem, generator, settings, given)
        phases = partly_focused(problem, phases, coarse, generator, settings)
        model = without_sources(copies(problem, settings.starts), phases)
        if bool(problem.has_los):
            model = fit(model, copies(problem, settings.starts), settings.steps, settings.largest_move)
        cost = math.inf
        for _ in range(settings.cycles + 1):
            model = best(grow(model, problem, images, top, settings), settings.kept)
            around = copies(problem, len(model.cost))
            model = fit(model, around, settings.final_steps, settings.largest_move)
            model = best(model, settings.kept)
            yield model
            if float(model.cost[0]) > settings.progress * cost:
                break
            cost = float(model.cost[0])
            model = without_least_certain(model, around, top - max(low - settings.swapped, 0))
            model = fit(model, around, settings.steps, settings.largest_move)


def model_sizes(problem: Problem, count: int, extra: int, settings: OvershootSettings) -> tuple[int, int]:
    """Numbers of sources: that expected for a rank of `count`, and that of an overshoot by `extra`; as many as allowed.

    The rank cannot exceed the number of nodes. The closer it comes to it, the more scatterers there can be.
    """
    empty = without_sources(problem, NodePhases.zero(problem.link, 1))
    n_samples, per_source = float(problem.n_samples), problem.grid.centre.shape[-1] + 2
    n_nodes = float(model_selection.unknowns(empty, problem))
    most = math.ceil((n_samples - n_nodes) / per_source) - 1
    hidden = settings.hidden * max(0.0, count - settings.saturation * min(problem.link.shape[1:3]))
    filled = int((settings.filled * n_samples - n_nodes) / per_source)
    top = max(count + settings.extra, min(count + extra + round(hidden), filled))
    return min(count + round(hidden / 2), top, most), min(top, most)


def start_phases(
    problem: Problem, generator: torch.Generator, settings: OvershootSettings, given: NodePhases | None
) -> NodePhases:
    """Random node phases of a batch of starts [R, n, 1], fitted to random halves of the trusted lines of sight."""
    n_starts, (n_tx, n_rx) = settings.starts, problem.link.shape[1:3]
    zero = problem.link.new_zeros(n_starts, n_tx + n_rx, 1)
    if given is None:
        phases = zero + 2 * math.pi * torch.rand(zero.shape, generator=generator, dtype=zero.dtype).to(zero)
    else:
        noise = torch.randn(zero.shape, generator=generator, dtype=zero.dtype).to(zero)
        phases = torch.cat([given.tx, given.rx], dim=1) + settings.jitter * noise
    tx, rx = phases.split([n_tx, n_rx], dim=1)
    if bool((problem.trusted > 0).any()):
        draw = torch.rand(n_starts, n_tx, n_rx, generator=generator).to(zero)
        trusted = (problem.trusted[..., 0] > 0) & (draw < LINE_OF_SIGHT_SHARE)
        product = refinement.correlation(problem.csi, problem.los, problem.trusted) * link_phasor(tx, rx)
        change = fit_phases(product.sum(-1), trusted)[..., None]
        tx, rx = (phases + change).split([n_tx, n_rx], dim=1)
    return NodePhases.at_rest(tx, rx)


def partly_focused(
    problem: Problem,
    phases: NodePhases,
    coarse: WrittenGrid,
    generator: torch.Generator,
    settings: OvershootSettings,
) -> NodePhases:
    """Node phases of a batch of starts [R, n, 1] after a random number of steps of autofocus.

    With few links, the sharpest image is not that of the true phases: few steps are best for few links, and many for
    many links. There are at most as many steps as nodes of the smaller side.
    """
    most = min(settings.autofocus.steps, *problem.link.shape[1:3])
    depth = torch.randint(most + 1, (settings.starts,), generator=generator).sort(descending=True).values
    for number in range(int(depth[0])):
        count = int((depth > number).sum())
        focused = autofocus.step(copies(problem, count), phases[slice(0, count)], coarse, settings.autofocus)
        phases = concatenate([focused, phases[slice(count, None)]])
    return phases
