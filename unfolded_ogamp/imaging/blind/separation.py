"""Separation by modulus: few scatterers seen by many nodes of unknown phases, in regions of any size.

    1. The amplitude fit separates the scatterers, from many random starts (`amplitudes`).
    2. One scatterer calibrates the node phases, and places the others (`windows`).
    3. Joint steps on the CSI refine the best placements.

A search from random node phases meets a local minimum every half wavelength; the amplitude fit does not. It needs more
equations than unknowns: n_tx + n_rx amplitudes of a scatterer against its 2 S mixing coefficients and D coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.imaging.blind import amplitudes, windows
from unfolded_ogamp.imaging.blind.amplitudes import Factors, Fit
from unfolded_ogamp.imaging.blind.growth import copies
from unfolded_ogamp.imaging.blind.windows import Placed, WindowSettings
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.physics import distances, wrap
from unfolded_ogamp.records import concatenate
from unfolded_ogamp.settings import Settings, at_least, positive

REFLECTIVITY_DAMPING = 1e-9
LEAST_NOISE = 1e-12  # noise variance in problem units, for CSI without noise
SAME_FIT = 0.5  # largest difference of the positions of two equal amplitude fits, in wavelengths
LARGEST_EXCESS = 10.0  # of the cost of an amplitude fit over the least one, in variances of its residuals


@dataclass(frozen=True)
class SeparationSettings(Settings):
    """Settings of separation by modulus; lengths are in wavelengths.

    Attributes:
        spare: least number of spare equations per scatterer, n_tx + n_rx - 2 S - D.
        most: largest number of scatterers; random starts hardly ever separate more, and take long.
        batches: number of proposals.
        starts: random starts of the amplitude fit in a proposal.
        first_steps: steps of the amplitude fit from every start.
        kept: best starts, which continue with weights by the noise.
        final_steps: steps of the amplitude fit of these.
        fits: largest number of different amplitude fits that are placed.
        window: settings of the windows.
        largest_effort: later proposals place more points and refine more of them, up to this factor.
        apart: least difference between two placements.
        placements: number of placements that joint steps refine.
        survivors: best of these after `trial_steps`; the others end there.
        trial_steps, joint_steps: joint steps of all placements, and further ones of the survivors.
        largest_move: largest displacement of a scatterer in a joint step.
        completion_steps: steps that complete the matrix of links where links are missing.
    """

    spare: Annotated[int, at_least(1)] = 4
    most: Annotated[int, at_least(2)] = 6
    batches: Annotated[int, at_least(1)] = 8
    starts: Annotated[int, at_least(1)] = 48
    first_steps: Annotated[int, at_least(1)] = 12
    kept: Annotated[int, at_least(1)] = 12
    final_steps: Annotated[int, at_least(1)] = 10
    fits: Annotated[int, at_least(1)] = 3
    window: WindowSettings = field(default_factory=WindowSettings)
    largest_effort: Annotated[int, at_least(1)] = 4
    apart: Annotated[float, positive] = 0.3
    placements: Annotated[int, at_least(1)] = 12
    survivors: Annotated[int, at_least(1)] = 4
    trial_steps: Annotated[int, at_least(1)] = 6
    joint_steps: Annotated[int, at_least(1)] = 8
    largest_move: Annotated[float, positive] = 0.15
    completion_steps: Annotated[int, at_least(1)] = 30


@torch.no_grad()
def proposals(
    problem: Problem, count: int, generator: torch.Generator, settings: SeparationSettings
) -> Iterator[Model]:
    """Fits of `count` scatterers from random starts; every item is one batch of starts.

    It ends at once where the amplitudes do not determine the positions: one scatterer alone, too few spare equations,
    too few links, or more scatterers than random starts separate. The CSI must not contain a line of sight.

    Args:
        problem: one scene in double precision, a batch of one, of known noise variance.
        count: number of scatterers S, for example the rank of the links' matrix.
        generator: of the random starts.
        settings: settings of the search.

    Yields:
        The best fits of a batch of starts, as a batch of the same scene, the best first.
    """
    if not determined(problem, count, settings):
        return
    factors = [Factors.of(matrix, count, problem) for matrix in completed(problem, count, settings)]
    for number in range(settings.batches):
        subcarrier, effort = number % len(factors), min(1 + number, settings.largest_effort)
        fits = separate(factors[subcarrier], problem, generator, settings)
        if not bool(fits.cost.isfinite().any()):
            continue  # this subcarrier holds fewer echoes than the others
        placed = place(fits, factors[subcarrier], problem, subcarrier, effort, settings)
        if len(placed.position):
            yield refine(placed, problem, settings)


def determined(problem: Problem, count: int, settings: SeparationSettings) -> bool:
    """Whether amplitudes determine the positions of `count` scatterers, after missing links are taken off."""
    link = problem.link[0, :, :, 0]
    n_tx, n_rx = link.shape
    enough = min(float(link.sum(0).min()), float(link.sum(1).min())) > count
    few = 1 < count <= settings.most
    return few and enough and n_tx + n_rx - 2 * count - problem.grid.centre.shape[2] >= settings.spare


def completed(problem: Problem, count: int, settings: SeparationSettings) -> list[Tensor]:
    """The links' matrix [1, n_tx, n_rx] of every subcarrier; missing links from the others by the rank `count`."""
    matrix, link = problem.csi.movedim(3, 1)[0], problem.link[..., 0]
    if not bool((link > 0).all()):
        guess = torch.zeros_like(matrix)
        for _ in range(settings.completion_steps):
            left, value, right = torch.linalg.svd(torch.where(link > 0, matrix, guess), full_matrices=False)
            guess = (left[..., :count] * value[:, None, :count]) @ right[:, :count]
        matrix = torch.where(link > 0, matrix, guess)
    return list(matrix[:, None])


def separate(factors: Factors, problem: Problem, generator: torch.Generator, settings: SeparationSettings) -> Fit:
    """The best amplitude fits from random starts, weighted by the noise, the best first."""
    single = factors.to(dtype=torch.float32)
    fit = amplitudes.random_start(single, settings.starts, generator)
    for _ in range(settings.first_steps):
        fit = amplitudes.step(fit, single)
    separation = fit[fit.cost.argsort()[: settings.kept]].separation.to(dtype=torch.float64)
    fit = amplitudes.by_noise(separation, factors, problem.noise_variance.clamp(min=LEAST_NOISE))
    for _ in range(settings.final_steps):
        fit = amplitudes.step(fit, factors)
    return fit[fit.cost.argsort()]


def place(
    fits: Fit, factors: Factors, problem: Problem, subcarrier: int, effort: int, settings: SeparationSettings
) -> Placed:
    """The best placements of the different amplitude fits on one subcarrier; `effort` times as many as at first."""
    wavelength, wavenumber = problem.array.wavelength[0], problem.array.wavenumber[0, subcarrier]
    largest = LARGEST_EXCESS * float(amplitudes.misfit(fits, factors).min())
    placed = [
        windows.place(fits[part], factors, wavenumber, settings.window.enlarged(effort))
        for part in different(fits, SAME_FIT * float(wavelength), largest, settings.fits)
    ]
    return windows.distinct(concatenate(placed), effort * settings.placements, settings.apart * float(wavelength))


def different(fits: Fit, apart: float, largest: float, count: int) -> list[slice]:
    """At most `count` fits, of costs up to `largest` above the least; no two with all scatterers within `apart` [m]."""
    chosen: list[slice] = []
    for number in (fits.cost < fits.cost.min() + largest).nonzero()[:, 0].tolist():
        position = fits.separation.position[number]
        others = (fits.separation.position[part][0] for part in chosen)
        if all(float(distances(position, other).amin(1).max()) > apart for other in others):
            chosen.append(slice(number, number + 1))
        if len(chosen) == count:
            break
    return chosen


def refine(placed: Placed, problem: Problem, settings: SeparationSettings) -> Model:
    """Joint steps from placements; the best fits, the best first."""
    state = joint_step.init(start(placed, problem))
    for number in range(settings.trial_steps + settings.joint_steps):
        if number == settings.trial_steps:
            state = state[state.model.cost.argsort()[: settings.survivors]]
        every = copies(problem, len(state.model.cost))
        free = torch.ones_like(state.model.cost, dtype=torch.bool, device=placed.position.device)
        state = joint_step.step(state, every, free, settings.largest_move)
    return state.model[state.model.cost.argsort()]


def start(placed: Placed, problem: Problem) -> Model:
    """The models of placements, with reflectivities by least squares."""
    batch, n_slots = placed.position.shape[:2]
    problem = copies(problem, batch)
    sources = Sources.points(
        position=placed.position,
        reflectivity=problem.csi.new_zeros(batch, n_slots),
        used=torch.ones(batch, n_slots, dtype=torch.bool, device=placed.position.device),
        phases=(wrap(placed.tx_phase), wrap(placed.rx_phase)),
        problem=problem,
    )
    model = evaluate(sources, problem)
    columns = model.columns.without_derivatives()
    reflectivity = least_squares.solve(
        columns.gram(problem.link), columns.matched(model.residual), REFLECTIVITY_DAMPING
    )
    return evaluate(replace(sources, reflectivity=reflectivity), problem)
