"""Further starts of one scene at a time, until its residual is consistent with the noise or the time is over.

Starts from random node phases often end in local minima if nodes are few. Two blind searches know better starts there;
they take turns with further starts of the greedy estimator, some of which search around the region, too: echoes from
outside of it are part of the model, and reported apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, cycle, islice, repeat
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.imaging.blind import overshoot, separation
from unfolded_ogamp.imaging.blind.growth import copies, fit, without_least_certain
from unfolded_ogamp.imaging.blind.separation import SeparationSettings
from unfolded_ogamp.imaging.blind.settings import OvershootSettings
from unfolded_ogamp.imaging.greedy import rounds
from unfolded_ogamp.imaging.greedy.calibration import Calibration, calibrations
from unfolded_ogamp.imaging.greedy.restarts import Searched
from unfolded_ogamp.imaging.greedy.rounds import GreedyState, all_running, place_scenes
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.greedy.start_phases import focused_phases, next_phases, random_phases
from unfolded_ogamp.imaging.likelihood.model_selection import (
    MANY_SAMPLES,
    consistent,
    criterion,
    decisive,
    most_sources,
)
from unfolded_ogamp.imaging.model import Model, trim_slots
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.memory import MemoryLimitError
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import regular_grid
from unfolded_ogamp.settings import Settings, at_least, positive, unbounded

WIDE = 20.0  # side of a region in wavelengths from which separation comes first
SEPARATIONS = 4  # largest number of proposals of separation by modulus
LEAST_SPARE = 6  # of its spare equations per scatterer; with fewer, wrong fits are consistent with the noise
BLIND_TURNS = 6  # proposals of the blind search between two starts of the greedy estimator
MARGIN_SHARE = 0.25  # width of the margin around the region, as a share of its longest side
FIRST_PLAIN = 8  # starts of scenes of few samples before self-calibration
MARGIN_TURNS = 2  # in every second turn a start searches the margin, too


@dataclass(frozen=True)
class Budget(Settings):
    """Largest effort for one scene, and a report on its search.

    Attributes:
        seconds: time after which no further start begins, [s].
        starts: largest number of starts; a batch of proposals of a blind search counts as one.
        report: called with the number of starts and the time so far [s] of a scene.
    """

    seconds: Annotated[float, positive, unbounded] = 60.0
    starts: Annotated[int, at_least(1)] = 40
    report: Callable[[int, float], None] | None = None

    def allows(self, starts: int, elapsed: float) -> bool:
        """Whether another start may begin after so many starts and seconds."""
        return starts < self.starts and elapsed < self.seconds


def go_on(
    found: Searched,
    problem: Problem,
    search_grid: SearchGrid,
    given: NodePhases,
    unknown: Tensor,
    settings: GreedySettings,
    budget: Budget,
) -> None:
    """Further starts of every scene that needs them; `found` changes.

    Args:
        found: the search so far.
        problem, search_grid: geometry and CSI, coherent subcarriers averaged, and the positions that are searched.
        given: node phases [B, n, 1] before the search.
        unknown: scenes in which autofocus suggests that these are wrong, bool [B].
        settings: settings of the greedy estimator.
        budget: largest time of every scene.
    """
    for scene in found.left(problem).tolist():
        index = torch.tensor([scene], device=problem.csi.device)
        begun, around = time.monotonic(), problem[index]

        def best(index: Tensor = index) -> Model:
            return trim_slots(found.best.model[index])

        plain = attempts(around, search_grid[index], given[index], bool(unknown[scene]), best, settings)
        generator = torch.Generator().manual_seed(settings.restarts.seed)
        calibration = found.calibrations[scene] = Calibration(around, settings.calibration)
        calibrating = calibrations(calibration, given[index], best(), generator)
        elapsed = 0.0
        for kind in turns(around):
            if scene not in found.left(problem) or not budget.allows(int(found.starts[scene]), elapsed):
                break
            if kind == "calibrating":
                one = next(calibrating, None)
                if one is None:
                    break
                calibration.add(*one)
                found.starts[scene] += 1
            else:
                state, independent = next(plain)
                found.add(state, index, torch.full_like(index, independent, dtype=torch.bool), problem)
            elapsed = time.monotonic() - begun
            if budget.report is not None:
                budget.report(int(found.starts[scene]), elapsed)


def turns(problem: Problem) -> Iterator[str]:
    """Kinds of further starts of a scene, a batch of one, in their order.

    With many samples, local minima are rare, and the nodes or links are suspected first. With few, the blind searches
    come first. If phases are known, only self-calibration remains.
    """
    if bool(problem.phases_known | problem.needs_priors):
        return repeat("calibrating")
    if float(problem.n_samples) >= MANY_SAMPLES:
        return chain(("calibrating", "calibrating"), cycle(("plain", "calibrating")))
    return chain(repeat("plain", FIRST_PLAIN), cycle(("calibrating", "plain")))


def separated_first(state: GreedyState, problem: Problem, settings: GreedySettings) -> tuple[GreedyState, Tensor]:
    """Separation by modulus of scenes in wide regions, where a start from wrong phases meets many local minima.

    Returns:
        The state, with the scenes that are solved replaced, and these scenes, bool [B].
    """
    solved = torch.zeros_like(problem.has_los)
    for scene in in_wide_region(problem).nonzero()[:, 0].tolist():
        index = torch.tensor([scene], device=solved.device)
        part, generator = problem[index], torch.Generator().manual_seed(settings.restarts.seed)
        search_grid = None
        for proposals in islice(separated(part, generator), SEPARATIONS):
            search_grid = part.search_grid(settings.detection.spacing) if search_grid is None else search_grid
            ended = completed(proposals, part, search_grid, settings)
            if bool(consistent(ended.model, part) & decisive(ended.model, part)):
                state, solved[scene] = place_scenes(ended, index, state), True
                break
    return state, solved


def in_wide_region(problem: Problem) -> Tensor:
    """Scenes with a region of so many wavelengths that separation comes first, bool [B]."""
    side = (problem.grid.centre.amax(1) - problem.grid.centre.amin(1)).amax(1)
    return side > WIDE * problem.array.wavelength


def attempts(
    problem: Problem,
    search_grid: SearchGrid,
    given: NodePhases,
    unknown: bool,
    best: Callable[[], Model],
    settings: GreedySettings,
) -> Iterator[tuple[GreedyState, bool]]:
    """Starts of one scene without end, and whether they are independent of the best one.

    Separation comes first, because it is fast where it works. Overshooting and starts of the greedy estimator follow in
    turn; some of the latter search a margin around the region, too, if there is memory for it.
    """
    generator = torch.Generator().manual_seed(settings.restarts.seed)
    if not bool(in_wide_region(problem)):  # otherwise it came before the first start
        for proposals in islice(separated(problem, generator), SEPARATIONS):
            yield completed(proposals, problem, search_grid, settings), True
    blind = overshot(problem, given, unknown, generator)
    for turn in count(settings.restarts.together):
        for proposals in islice(blind, BLIND_TURNS):
            yield completed(proposals, problem, search_grid, settings), True
        phases, independent = next_phases(turn, best(), problem, generator, settings.restarts)
        yield rounds.run(problem, search_grid, phases, settings), bool(independent)
        if turn % MARGIN_TURNS == 0:
            try:
                margin = with_margin(problem)
                around = margin.search_grid(settings.detection.spacing)
                phases = focused_phases(margin, random_phases(margin, generator), settings.restarts)
            except MemoryLimitError:
                continue
            yield rounds.run(margin, around, phases, settings), True


def separated(problem: Problem, generator: torch.Generator) -> Iterator[Model]:
    """Proposals of separation by modulus; none with a line of sight, which is no echo, or with known phases."""
    least = int(problem.least_count)
    if least == 0 or bool(problem.has_los | problem.phases_known):
        return iter(())
    return separation.proposals(problem, least, generator, SeparationSettings(spare=LEAST_SPARE))


def overshot(problem: Problem, given: NodePhases, unknown: bool, generator: torch.Generator) -> Iterator[Model]:
    """Proposals of overshooting from random node phases, and in turn from phases near the given ones.

    If the given phases are as good as unknown, every fourth proposal starts near them, else every second. There are
    none if there is no memory for them.
    """
    least = int(problem.least_count)
    if least == 0 or bool(problem.has_los):  # the rank of links without a line of sight sizes no search of all links
        return
    anywhere, near = (
        overshoot.proposals(problem, least, generator, OvershootSettings(), phases) for phases in (None, given)
    )
    order = (anywhere, anywhere, near, anywhere) if unknown else (near, anywhere)
    try:
        for proposals in cycle(order):
            yield next(proposals)
    except (MemoryLimitError, StopIteration):
        return


def completed(proposals: Model, problem: Problem, search_grid: SearchGrid, settings: GreedySettings) -> GreedyState:
    """The best of the proposals [R] for one scene; if its residual is consistent with the noise, pruned.

    Proposals with more sources than the samples determine first lose their least certain ones.
    """
    repeated = copies(problem, len(proposals.cost))
    excess = proposals.sources.used.sum(1) - most_sources(proposals, repeated)
    for _ in range(int(excess.amax().clamp(min=0))):
        fewer = without_least_certain(proposals, repeated, 1)
        proposals = fit(fewer, repeated, settings.step.steps, settings.step.largest_move)
    chosen = trim_slots(proposals[criterion(proposals, repeated).nan_to_num(nan=torch.inf).argmin(keepdim=True)])
    state = all_running(chosen)
    if not bool(consistent(chosen, problem)):
        return state
    return rounds.resume(state, problem, search_grid, settings)


def with_margin(problem: Problem) -> Problem:
    """The problem with a margin of pixels around its region."""
    grid = problem.grid
    low, high = grid.centre[0].amin(0), grid.centre[0].amax(0)
    pixel = float(grid.pixel[0])
    margin = max(1, round(MARGIN_SHARE * (float((high - low).max()) / pixel + 1)))
    counts = [round(float(extent) / pixel) + 1 + 2 * margin for extent in high - low]
    wide = regular_grid(counts, pixel, ((low + high) / 2).tolist(), grid.centre.dtype)
    return replace(problem, grid=wide.to(device=str(grid.centre.device)))
