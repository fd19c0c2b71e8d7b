"""Greedy estimation: Newtonised orthogonal matching pursuit on exact bistatic atoms, node phases included.

A round looks for the strongest echoes in what is not explained yet, adds them, fits the node phases, and lets all
positions, reflectivities and phases move together. A start ends when nothing more stands out of the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unfolded_ogamp.estimators import correction, curvature, joint, likelihood, mismatch, synchronisation
from unfolded_ogamp.estimators.atlas import Atlas, per_axis
from unfolded_ogamp.estimators.autofocus import AutofocusSettings
from unfolded_ogamp.estimators.columns import Columns
from unfolded_ogamp.estimators.joint import JointState
from unfolded_ogamp.estimators.problem import Problem
from unfolded_ogamp.estimators.sources import Sources, compact, drop, padded
from unfolded_ogamp.estimators.synchronisation import NodePhases, SynchronisationSettings
from unfolded_ogamp.physics import distances
from unfolded_ogamp.records import Record, choose, place

ALIGNMENT = SynchronisationSettings(method="alignment", alignment_iterations=20, node_phase="common")
MISFIT_SHARE = 0.25  # of what is left beside noise that a scatterer has to exceed where targets have size


@dataclass(frozen=True)
class GreedySettings:
    """Settings of the greedy estimator; lengths are in carrier wavelengths.

    Attributes:
        spacing: largest distance between the positions that are searched, along a coordinate.
        false_alarm: upper bound of the probability that noise alone adds a scatterer: the threshold of detection.
        share: candidates of a round have at least this share of the strongest one's matched-filter power.
        separation: least distance between two candidates of one round.
        merge_radius: scatterers closer than this are one.
        size: where targets turn out to have size, weaker scatterers within this radius of one are no others.
        phase_count: scatterers without which the node phases are not fitted: fewer leave them too free.
        steps: largest number of joint steps in a round.
        final_steps: largest number of joint steps after the last round.
        tolerance: share of the cost below which a joint step has converged.
        largest_move: largest change of a position in a joint step.
        rounds: largest number of rounds in a start.
        starts: largest number of starts.
        margin: standard deviations by which the noise power that a settled scene shows may exceed that of the noise.
        haze: gain of sharpness by autofocus above which the first start takes its phases; else it takes those that are
            given, and the second start takes the other ones.
        jitter: further starts are by turns from the node phases of the best one so far, with noise of this standard
            deviation [rad], and from uniform node phases that autofocus improves.
        seed: of these random numbers.
        autofocus: settings of autofocus.
    """

    spacing: float = 0.25
    false_alarm: float = 1e-2
    share: float = 0.5
    separation: float = 0.5
    merge_radius: float = 0.05
    size: float = 0.5
    phase_count: int = 3
    steps: int = 4
    final_steps: int = 20
    tolerance: float = 1e-5
    largest_move: float = 0.1
    rounds: int = 40
    starts: int = 20
    margin: float = 4.0
    haze: float = 1.5
    jitter: float = 0.3
    seed: int = 0
    autofocus: AutofocusSettings = field(default_factory=AutofocusSettings)

    def __post_init__(self) -> None:
        lengths = ("spacing", "separation", "merge_radius", "size", "largest_move")
        for name in (*lengths, "false_alarm", "share", "tolerance", "margin", "haze", "jitter"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("false_alarm", "share"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be at most 1, got {getattr(self, name)}")
        for name in ("phase_count", "steps", "final_steps", "rounds", "starts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class GreedyState(Record):
    """State between two rounds: the joint state; which scenes go on, and in which targets have size, bool [B]."""

    joint: JointState
    running: Tensor
    sized: Tensor


def init(problem: Problem, phases: NodePhases) -> GreedyState:
    """No scatterer yet, node phases [B, n, 1] as given."""
    batch, dimension = len(problem.csi), problem.grid.centre.shape[-1]
    position, reflectivity = problem.grid.centre.new_zeros(batch, 0, dimension), problem.csi.new_zeros(batch, 0)
    used = torch.zeros(batch, 0, dtype=torch.bool, device=problem.csi.device)
    sources = Sources(position, reflectivity, used, phases.tx[..., 0], phases.rx[..., 0])
    running = torch.ones(batch, dtype=torch.bool, device=problem.csi.device)
    return GreedyState(joint.init(sources, problem), running, ~running)


def seen(state: GreedyState, problem: Problem) -> Problem:
    """The problem with the directivity of targets that have size."""
    return correction.fitted(state.joint.sources, problem, state.sized)[1]


def run(problem: Problem, atlas: Atlas, phases: NodePhases, settings: GreedySettings) -> GreedyState:
    """One start from node phases [B, n, 1] to its end.

    Sources that have converged leave a cleaner residual, in which something more may stand out: hence the second look.
    """
    state = look(init(problem, phases), problem, atlas, settings)
    _, clustered = companions(state.joint.sources, problem, settings)
    return resume(with_size(state, problem, clustered, settings), problem, atlas, settings)


def resume(state: GreedyState, problem: Problem, atlas: Atlas, settings: GreedySettings) -> GreedyState:
    """The end of a start from what was found so far: another look, and one more where targets turn out to have size."""
    state = look(state, problem, atlas, settings)
    companion, _ = companions(state.joint.sources, problem, settings)
    told = with_size(state, problem, companion.any(1) & ~state.sized, settings)
    scenes = (told.sized & ~state.sized).nonzero()[:, 0]
    if len(scenes) > 0:
        again = look(told[scenes], problem[scenes], atlas[scenes], settings)
        told = place_sources(again, scenes, told)
    return sure(told, problem, settings)


def look(state: GreedyState, problem: Problem, atlas: Atlas, settings: GreedySettings) -> GreedyState:
    """All that stands out of the noise, converged."""
    return finish(grow(state, problem, atlas, settings), problem, settings)


def with_size(state: GreedyState, problem: Problem, trial: Tensor, settings: GreedySettings) -> GreedyState:
    """One source per target, with a directivity, where in `trial` [B] that explains the CSI better than points do.

    Or where points gather although the noise is not all that is left: targets may be of any shape.
    """
    scenes = trial.nonzero()[:, 0]
    if len(scenes) == 0:
        return state
    points, problem = state[scenes], problem[scenes]
    companion, clustered = companions(points.joint.sources, problem, settings)
    sources = drop(points.joint.sources, companion)
    sized = torch.ones_like(clustered)
    alone, fitted = refine(joint.init(sources, problem), problem, settings, settings.final_steps, sized)
    fits_better = criterion(alone, fitted) < criterion(points.joint, problem)
    sized = fits_better | (clustered & (excess(points.joint, problem) > settings.margin))
    chosen = choose(sized, alone, points.joint)
    told = replace(points, joint=replace(chosen, sources=compact(chosen.sources)), sized=sized)
    return place_sources(told, scenes, state)


def companions(sources: Sources, problem: Problem, settings: GreedySettings) -> tuple[Tensor, Tensor]:
    """Sources next to stronger ones [B, S], and the scenes in which there are too many of them [B]."""
    radius = settings.size * problem.array.wavelength
    companion = mismatch.companions(sources, strength(sources, problem), radius)
    return companion, mismatch.clustered(sources, companion, problem, radius, settings.false_alarm)


def sure(state: GreedyState, problem: Problem, settings: GreedySettings) -> GreedyState:
    """Without what does not stand out of the noise as nodes show it, where the residual is not the noise alone."""
    pixels = problem.grid.centre.shape[1]
    count = pixels * per_axis(problem, settings.spacing).pow(problem.grid.centre.shape[2])
    n_nodes = min(problem.link.shape[1:3])
    scenes = (state.sized | (excess(state.joint, problem) > settings.margin)).nonzero()[:, 0]
    if len(scenes) == 0:
        return state
    doubted, problem = state[scenes], problem[scenes]
    chance = (settings.false_alarm / count[scenes])[:, None]
    fitted = seen(doubted, problem)
    # two that are one, of opposite signs, are strong each
    merged = tidy(doubted.joint.sources, fitted, settings)
    merged = drop(merged, companions(merged, fitted, settings)[0] & doubted.sized[:, None])
    now, fitted = refine(joint.init(merged, fitted), problem, settings, settings.final_steps, doubted.sized)
    # a point among what targets with size leave takes away a share of it, which all nodes agree on
    share = MISFIT_SHARE * unexplained(now, fitted) * doubted.sized
    while True:
        sources, echo = now.sources, strength(now.sources, fitted)
        white = -chance.log() * noise_power(now.cost, sources, fitted)[:, None]
        of_nodes = mismatch.node_threshold(chance, n_nodes) * mismatch.node_noise(sources, fitted)
        doubtful = sources.used & (echo < torch.maximum(white, of_nodes).maximum(share[:, None]))
        if not doubtful.any():
            return place_sources(replace(doubted, joint=now), scenes, state)
        fewer = joint.init(drop(sources, doubtful), fitted)
        now, fitted = refine(fewer, problem, settings, settings.final_steps, doubted.sized)


def unexplained(state: JointState, problem: Problem) -> Tensor:
    """What the residual holds beside noise [B]; all of it where the noise is not known."""
    if problem.noise_variance is None:
        return state.cost
    return (state.cost - samples(problem) * problem.noise_variance).clamp(min=0)


def grow(state: GreedyState, problem: Problem, atlas: Atlas, settings: GreedySettings) -> GreedyState:
    """Rounds until nothing stands out of the noise in any scene; those that have ended are set aside."""
    whole, scenes = state, torch.arange(len(problem.csi), device=problem.csi.device)
    for _ in range(settings.rounds):
        state = step(state, problem, atlas, settings)
        if 2 * int(state.running.sum()) <= len(scenes):
            whole = place_sources(state, scenes, whole)
            left = state.running.nonzero()[:, 0]
            if len(left) == 0:
                return whole
            state, scenes, problem, atlas = state[left], scenes[left], problem[left], atlas[left]
    return place_sources(state, scenes, whole)


def place_sources(part: GreedyState, scenes: Tensor, whole: GreedyState) -> GreedyState:
    """`whole` with the scenes `scenes` replaced by `part`, whatever their numbers of slots."""
    part, whole = as_many_slots(part, whole)
    placed = place(part, scenes, whole)
    return replace(placed, joint=replace(placed.joint, sources=compact(placed.joint.sources)))


def as_many_slots(first: GreedyState, second: GreedyState) -> tuple[GreedyState, GreedyState]:
    """Both states with as many slots as the fuller one."""
    n_slots = max(state.joint.sources.used.shape[1] for state in (first, second))
    first, second = (
        replace(state, joint=replace(state.joint, sources=padded(state.joint.sources, n_slots)))
        for state in (first, second)
    )
    return first, second


def step(state: GreedyState, problem: Problem, atlas: Atlas, settings: GreedySettings) -> GreedyState:
    """One round: look, add, fit the phases, move everything, merge and prune.

    Scenes in which nothing is added end, and those that turn out to hold targets with size, to be told so.
    """
    sources, seen = correction.fitted(state.joint.sources, problem, state.sized)
    count = sources.used.sum(1)
    grown = add(sources, seen, state.sized, atlas, settings, limit=1 + count // 3)
    running = state.running & (grown.used.sum(1) > count)
    if not running.any():
        return replace(state, running=running)
    aligned = joint.init(align(grown, seen, settings), seen)
    moved, seen = refine(aligned, problem, settings, settings.steps, state.sized)
    tidied = tidy(moved.sources, seen, settings)
    companion, clustered = companions(tidied, seen, settings)
    tidied = compact(drop(tidied, companion & state.sized[:, None]))
    after = GreedyState(joint.init(tidied, seen), running & (state.sized | ~clustered), state.sized)
    before, after = as_many_slots(replace(state, running=running), after)
    return choose(running, after, before)


def finish(state: GreedyState, problem: Problem, settings: GreedySettings) -> GreedyState:
    """Joint steps to convergence, without what is not needed beside the others; all scenes may go on.

    A pair that splits one scatterer is strong each, but neither is certain: only now, with everything fitted, is a
    source measured against the others. The least certain one of a scene goes at a time, unless the rest, fitted anew,
    explains so much less that it comes back for good: two scatterers closer than the point response look the same.
    """
    moved, seen = refine(state.joint, problem, settings, settings.final_steps, state.sized)
    needed = torch.zeros_like(moved.sources.used)
    # an amplitude alone in noise has half the noise for its variance
    least = 2 * detection_threshold(problem.grid.centre.shape[1], settings)
    while True:
        sources = moved.sources
        noise = noise_power(moved.cost, sources, seen)
        variance = curvature.uncertainty(sources, seen).amplitude * noise[:, None]
        certainty = sources.reflectivity.abs().square() / variance.clamp(min=torch.finfo(variance.dtype).tiny)
        certainty = torch.where(sources.used & ~needed, certainty, torch.inf)
        doubtful = certainty < least
        if not doubtful.any():
            joint_state = replace(moved, sources=compact(sources))
            return replace(state, joint=joint_state, running=torch.ones_like(state.running))
        weakest = doubtful & (certainty <= certainty.amin(1, keepdim=True))
        fewer = joint.init(drop(sources, weakest), seen)
        without, other = refine(fewer, problem, settings, settings.final_steps, state.sized)
        better = weakest.any(1) & (criterion(without, other) < criterion(moved, seen))
        moved, seen = choose(better, without, moved), choose(better, other, seen)
        needed = needed | (weakest & ~better[:, None])


def refine(
    state: JointState, problem: Problem, settings: GreedySettings, steps: int, sized: Tensor
) -> tuple[JointState, Problem]:
    """Joint steps, in each scene until it has converged, of the node phases only where they are free.

    Returns:
        The state, and the problem with the directivity of targets where these have size, bool [B].
    """
    free = phases_free(state.sources, problem, settings)
    converged = torch.zeros_like(free)
    scenes = correction.corrected(state.sources, problem, sized).nonzero()[:, 0]
    sources, seen = correction.fitted(state.sources, problem, sized)
    if len(scenes) > 0:
        corrected = replace(joint.init(sources, seen), damping=state.damping)
        state = place(corrected[scenes], scenes, state)
    for _ in range(steps):
        moved = joint.step(state, seen, free, settings.largest_move)
        if len(scenes) > 0:
            some, fitted = correction.step(
                state[scenes], seen[scenes], sized[scenes], free[scenes], settings.largest_move
            )
            moved, again = place(some, scenes, moved), place(fitted, scenes, seen)
            seen = choose(converged, seen, again)
        state = choose(converged, state, moved)
        converged = converged | (state.decrease < settings.tolerance)
        if converged.all():
            break
    return state, seen


def align(sources: Sources, problem: Problem, settings: GreedySettings) -> Sources:
    """Node phases fitted to the modelled channel by power iteration, (24), where they are free."""
    _, channel = likelihood.residual(sources, problem, Columns.at(sources, problem))
    tx, rx = sources.tx_phase[..., None], sources.rx_phase[..., None]
    phases = NodePhases(tx, rx, torch.zeros_like(tx), torch.zeros_like(rx))
    fitted = synchronisation.step(problem.csi, channel, problem.link, phases, ALIGNMENT, 1.0, 0.0)
    free = phases_free(sources, problem, settings)[:, None]
    return replace(
        sources,
        tx_phase=torch.where(free, fitted.tx[..., 0], sources.tx_phase),
        rx_phase=torch.where(free, fitted.rx[..., 0], sources.rx_phase),
    )


def strength(sources: Sources, problem: Problem) -> Tensor:
    """Matched-filter power of the sources [B, S]."""
    return sources.reflectivity.abs().square() * Columns.at(sources, problem).energy(problem.link)


def excess(state: JointState, problem: Problem) -> Tensor:
    """By how many standard deviations the residual exceeds the noise [B]; inf where the noise is not known."""
    if problem.noise_variance is None:
        return torch.full_like(state.cost, torch.inf)
    ratio = noise_power(state.cost, state.sources, problem) / problem.noise_variance
    return (ratio - 1) * samples(problem).sqrt()


def phases_free(sources: Sources, problem: Problem, settings: GreedySettings) -> Tensor:
    """Scenes in which the node phases are fitted: enough scatterers, or a line of sight; bool [B]."""
    return (sources.used.sum(1) >= settings.phase_count) | problem.has_los


def samples(problem: Problem) -> Tensor:
    """Number of complex samples of the CSI [B]."""
    return problem.link.sum((1, 2, 3)) * problem.csi.shape[-1]


def noise_power(cost: Tensor, sources: Sources, problem: Problem) -> Tensor:
    """Noise variance [B] that a cost [B] shows, the degrees of freedom of the sources taken off."""
    return cost / (samples(problem) - unknowns(sources, problem) / 2).clamp(min=1.0)


def unknowns(sources: Sources, problem: Problem) -> Tensor:
    """Real unknowns [B]: positions, complex reflectivities, node phases but for the gauge."""
    # all nodes turn together; without a line of sight so do all Tx against all reflectivities
    gauge = torch.where(problem.has_los, 1, 2)
    nodes = sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    return sources.used.sum(1) * (sources.position.shape[-1] + 2) + problem.n_corrections + nodes - gauge


def criterion(state: JointState, problem: Problem) -> Tensor:
    """Bayesian information criterion [B] of all unknowns; the lower the better."""
    count = 2 * samples(problem)
    return count * state.cost.log() + unknowns(state.sources, problem) * count.log()


def detection_threshold(n_positions: int, settings: GreedySettings) -> float:
    """Matched-filter power over noise that noise alone exceeds at one of `n_positions` with `false_alarm`."""
    return math.log(n_positions / settings.false_alarm)


def add(
    sources: Sources, problem: Problem, sized: Tensor, atlas: Atlas, settings: GreedySettings, limit: Tensor
) -> Sources:
    """The sources and at most `limit` [B] of the strongest echoes of the residual, as the matched filter sees them.

    Where targets have size, bool [B], none next to a source.
    """
    difference, _ = likelihood.residual(sources, problem, Columns.at(sources, problem))
    image = atlas.back_project(difference)
    response = image.real.square() + image.imag.square()
    if sized.any() and sources.used.any():
        distance = distances(atlas.position, sources.position).masked_fill(~sources.used[:, None], torch.inf)
        beside = distance.amin(2) < settings.size * problem.array.wavelength[:, None]
        response = response.masked_fill(beside & sized[:, None], 0.0)
    noise = noise_power(likelihood.power(difference), sources, problem)
    least = (atlas.count / settings.false_alarm).log() * noise
    least = torch.maximum(least, settings.share * response.amax(1))
    room = (samples(problem) / (sources.position.shape[-1] + 2)).long() - sources.used.sum(1)
    radius = settings.separation * problem.array.wavelength[:, None]
    scene = torch.arange(len(response), device=response.device)
    for number in range(int(limit.max())):
        value, index = response.max(1)
        new = (value >= least) & (number < limit) & (number < room)
        if not new.any():
            break
        position = atlas.position[scene, index]
        reflectivity = (image[scene, index] * atlas.energy[scene, index].rsqrt()).to(sources.reflectivity.dtype)
        sources = replace(
            sources,
            position=torch.cat([sources.position, position[:, None]], dim=1),
            reflectivity=torch.cat([sources.reflectivity, torch.where(new, reflectivity, 0)[:, None]], dim=1),
            used=torch.cat([sources.used, new[:, None]], dim=1),
        )
        response = response.masked_fill((atlas.position - position[:, None]).norm(dim=-1) < radius, 0.0)
    return compact(sources)


def tidied(state: JointState, problem: Problem, settings: GreedySettings) -> JointState:
    """The state after `tidy`."""
    return joint.init(tidy(state.sources, problem, settings), problem)


def tidy(sources: Sources, problem: Problem, settings: GreedySettings) -> Sources:
    """Merge what is too close, drop what does not stand out of the noise or has left the region by half a pixel."""
    columns = Columns.at(sources, problem)
    noise = noise_power(likelihood.power(likelihood.residual(sources, problem, columns)[0]), sources, problem)
    strength = sources.reflectivity.abs().square() * columns.energy(problem.link)
    edge = problem.grid.pixel[:, None, None]
    low, high = problem.grid.centre.amin(1, keepdim=True) - edge, problem.grid.centre.amax(1, keepdim=True) + edge
    inside = ((sources.position > low) & (sources.position < high)).all(-1)
    least = detection_threshold(problem.grid.centre.shape[1], settings) * noise
    used = sources.used & (strength > least[:, None]) & inside

    distance = distances(sources.position, sources.position)
    close = distance < settings.merge_radius * problem.array.wavelength[:, None, None]
    above = close & used[:, None] & (strength[:, None] > strength[:, :, None])
    absorbed = used & above.any(2)
    strongest = torch.where(above, strength[:, None], 0.0).argmax(2) if above.shape[1] else absorbed.long()
    # of a chain, the links next to the strongest: what they would be given to must stay
    absorbed = absorbed & ~absorbed.gather(1, strongest)
    given = torch.where(absorbed, sources.reflectivity, 0)
    reflectivity = sources.reflectivity.scatter_add(1, strongest, given)
    return compact(replace(sources, reflectivity=reflectivity, used=used & ~absorbed))
