"""Screened OG-AMP: message passing on a few candidate positions, which are chosen again before every block.

Most pixels hold no scatterer, and in a large pixel the scatterer is far from the centre. The candidates are the present
scatterers and the strongest peaks of the residual. So the cost of an iteration does not depend on the number of pixels,
and its accuracy does not depend on their size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.imaging.ogamp import iteration
from unfolded_ogamp.imaging.ogamp.iteration import ImagingState
from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters, ImagingSettings
from unfolded_ogamp.imaging.phases import refinement
from unfolded_ogamp.imaging.phases.refinement import NodePhases, RefinementParameters, SynchronisationSettings
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources, trim
from unfolded_ogamp.inference.message_passing import SparsePosterior
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import PixelGrid, distances, link_phasor
from unfolded_ogamp.records import Record, choose
from unfolded_ogamp.settings import Settings, positive

CONSIDERED = 4  # peaks are searched among the strongest positions, this many per candidate


@dataclass(frozen=True)
class ScreeningSettings(Settings):
    """Choice of the candidates; lengths are in carrier wavelengths.

    Attributes:
        candidates: number of candidates M over the root of the number of links, which limits how many positions can be
            distinguished.
        spacing: largest distance between neighbours of the search grid, along a coordinate.
        separation: least distance between two peaks.
        guard: least distance of a new candidate from an active one.
    """

    candidates: Annotated[float, positive] = 2.0
    spacing: Annotated[float, positive] = 0.25
    separation: Annotated[float, positive] = 0.3
    guard: Annotated[float, positive] = 0.15

    def count(self, problem: Problem) -> int:
        """Number of candidates M in every scene of a batch."""
        return math.ceil(self.candidates * math.sqrt(problem.link[0].numel()))


@dataclass(frozen=True)
class ScreenedState(Record):
    """State between two blocks.

    Attributes:
        candidates: their positions [B, M, D] as centres of pixels, one spacing wide.
        imaging: state of imaging on the candidates.
        phases: node phases [B, n, 1].
    """

    candidates: PixelGrid
    imaging: ImagingState
    phases: NodePhases

    @property
    def position(self) -> Tensor:
        """Expansion points of the candidates [B, M, D], [m]."""
        return self.candidates.centre + self.imaging.offset


def init(
    problem: Problem,
    search_grid: SearchGrid,
    phases: NodePhases,
    parameters: ImagingParameters,
    settings: ImagingSettings,
    screening: ScreeningSettings,
) -> ScreenedState:
    """Candidates at the strongest peaks of the image at given node phases; imaging at its prior."""
    observation = refinement.observe(problem, phases)
    position, _ = peaks(search_grid, search_grid.back_project(observation), problem, screening)
    return _on(position, problem, observation, phases, parameters, settings, screening)


def screen(
    state: ScreenedState,
    problem: Problem,
    search_grid: SearchGrid,
    parameters: ImagingParameters,
    settings: ImagingSettings,
    screening: ScreeningSettings,
) -> ScreenedState:
    """Keep active candidates, and replace the others by the strongest peaks of the residual.

    New candidates start inactive, and all messages start anew: scores of other candidates are misleading.
    """
    observation = refinement.observe(problem, state.phases)
    messages, wavelength = state.imaging.messages, problem.array.wavelength
    position, response = peaks(
        search_grid, search_grid.back_project(observation - messages.prediction()), problem, screening
    )
    log_odds = messages.posterior.log_odds[:, 0].detach()
    active, held = log_odds > 0, state.position
    near = distances(position, held.detach()) < screening.guard * wavelength[:, None, None]
    response = torch.where((near & active[:, None]).any(2), 0, response)
    # active candidates rank above the peaks, whose rank is 0 to 1, and inactive ones below
    rank = response / response.amax(1, keepdim=True).clamp(min=torch.finfo(response.dtype).tiny)
    rank = torch.cat([torch.where(active, 2 + log_odds.sigmoid(), -1), rank], dim=1)
    index = rank.topk(position.shape[1], dim=1).indices
    chosen = torch.cat([held, position], dim=1).gather(1, index[..., None].expand(-1, -1, held.shape[2]))

    fresh = _on(chosen, problem, observation, state.phases, parameters, settings, screening)
    kept = (index < held.shape[1])[:, None]
    index = index.clamp(max=held.shape[1] - 1)[:, None]

    def carried(old: Tensor, new: Tensor) -> Tensor:
        return torch.where(kept, old.gather(2, index.expand(-1, old.shape[1], -1)), new)

    old, new = messages.posterior, fresh.imaging.messages.posterior
    posterior = SparsePosterior(
        log_odds=carried(old.log_odds, new.log_odds),
        mean=carried(old.mean, new.mean),
        variance=carried(old.variance, torch.zeros_like(new.variance)),
        active_mean=carried(old.active_mean, new.active_mean),
        active_variance=carried(old.active_variance, new.active_variance),
    )
    started = replace(fresh.imaging.messages, posterior=posterior)
    return replace(fresh, imaging=replace(fresh.imaging, messages=started, amplitude=state.imaging.amplitude))


def image(
    state: ScreenedState,
    problem: Problem,
    observation: Tensor,
    parameters: ImagingParameters,
    settings: ImagingSettings,
) -> ScreenedState:
    """One iteration of OG-AMP on the candidates, with recentring of the active ones, see `iteration.step`."""
    around = replace(problem, grid=state.candidates)
    moved = iteration.step(state.imaging, around, observation, parameters, settings, recentring=True)
    finite = torch.isfinite(moved.messages.posterior.mean.abs().sum((1, 2)) + moved.offset.sum((1, 2)))
    return replace(state, imaging=choose(finite, moved, state.imaging))


def synchronise(
    state: ScreenedState,
    problem: Problem,
    settings: SynchronisationSettings,
    parameters: RefinementParameters,
    least_active: int,
) -> ScreenedState:
    """Refine the node phases on the predicted channel, and adapt the scale of the reflectivity prior.

    With fewer than `least_active` active candidates and no line of sight, node phases do not change: few scatterers do
    not determine them.
    """
    messages = state.imaging.messages
    reference = messages.prediction() + problem.los
    fitted = refinement.step(problem.csi, reference, problem.link, state.phases, settings, parameters)
    active = (messages.posterior.log_odds[:, 0] > 0).sum(1)
    held = replace(state.phases, tx_move=0 * fitted.tx_move, rx_move=0 * fitted.rx_move)
    phases = choose((active >= least_active) | problem.has_los, fitted, held)
    turn = link_phasor(phases.tx_move, phases.rx_move)
    imaging = replace(state.imaging, messages=replace(messages, score=messages.score * turn))
    return replace(state, imaging=iteration.adapt_amplitude(imaging), phases=phases)


def active_sources(state: ScreenedState, problem: Problem) -> Sources:
    """The active candidates and the node phases, as sources."""
    posterior = state.imaging.messages.posterior
    active = posterior.log_odds[:, 0] > 0
    reflectivity = torch.where(active, posterior.active_mean[:, 0], 0)
    phases = state.phases.tx[..., 0], state.phases.rx[..., 0]
    return trim(Sources.points(state.position, reflectivity, active, phases, problem))


@torch.no_grad()
def peaks(
    search_grid: SearchGrid, picture: Tensor, problem: Problem, settings: ScreeningSettings
) -> tuple[Tensor, Tensor]:
    """Positions [B, M, D] [m] and powers [B, M] of the strongest local maxima of a normalised image [B, Q].

    If there are fewer than M, further positions have power zero.
    """
    response = picture.real.square() + picture.imag.square()
    count = min(settings.count(problem), response.shape[1])
    power, index = response.topk(min(CONSIDERED * count, response.shape[1]), dim=1)
    position = _pick(search_grid.position, index).to(search_grid.position)
    close = distances(position, position) < settings.separation * problem.array.wavelength[:, None, None]
    stronger = torch.ones_like(close[0]).tril(-1)  # positions are in order of power
    power = torch.where((close & stronger).any(2), 0, power)
    power, index = power.topk(count, dim=1)
    return _pick(position, index), power.to(position)


def _pick(position: Tensor, index: Tensor) -> Tensor:
    return position.gather(1, index[..., None].expand(-1, -1, position.shape[2]))


def _on(
    position: Tensor,
    problem: Problem,
    observation: Tensor,
    phases: NodePhases,
    parameters: ImagingParameters,
    settings: ImagingSettings,
    screening: ScreeningSettings,
) -> ScreenedState:
    """The state with candidates at `position`, and imaging at its prior."""
    candidates = PixelGrid(position, screening.spacing * problem.array.wavelength)
    around = replace(problem, grid=candidates)
    return ScreenedState(candidates, iteration.init(around, observation, parameters, settings), phases)
