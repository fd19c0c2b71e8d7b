"""Alternating optimisation of image and node phases, Fig. 3 of the paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.imaging.assembly import assemble
from unfolded_ogamp.imaging.estimate import Estimate, History
from unfolded_ogamp.imaging.likelihood.uncertainty import with_joint_std
from unfolded_ogamp.imaging.ogamp import iteration
from unfolded_ogamp.imaging.ogamp.iteration import ImagingState
from unfolded_ogamp.imaging.ogamp.listing import ListSettings, list_scatterers
from unfolded_ogamp.imaging.ogamp.settings import ImagingParameters, ImagingSettings
from unfolded_ogamp.imaging.phases import refinement
from unfolded_ogamp.imaging.phases.refinement import NodePhases, SynchronisationSettings, observe
from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, link_phasor
from unfolded_ogamp.records import Record, choose
from unfolded_ogamp.settings import Settings, at_least, not_negative


@dataclass(frozen=True)
class AlternatingSettings(Settings):
    """Settings of the alternation; the defaults are the paper's.

    Attributes:
        imaging, synchronisation: settings of the two steps that alternate.
        blocks: largest number of alternations.
        iterations: largest number of imaging iterations in a block.
        tolerance: the imaging of a block ends when the mean absolute change of the reflectivity falls below this.
        phase_tolerance: the alternation ends when the largest change of a node phase falls below this, [rad].
        warm_start: imaging starts from the result of the block before; otherwise from the prior.
        largest_rise: a block is undone if the residual grows by more than this factor, because message passing can
            diverge even after convergence; 0 for no limit.
        search_blocks: number of blocks that search inactive pixels, see `ImagingSettings.oversampling`.
        unit_reflectivity: reflectivities are of order one in the units of the CSI, as in the paper; otherwise their
            scale follows from the power of the CSI and the sparsity.
        listing: how active pixels become a list of scatterers.
    """

    imaging: ImagingSettings = field(default_factory=ImagingSettings)
    synchronisation: SynchronisationSettings = field(default_factory=SynchronisationSettings)
    blocks: Annotated[int, at_least(1)] = 10
    iterations: Annotated[int, at_least(1)] = 60
    tolerance: Annotated[float, not_negative] = 1e-4
    phase_tolerance: Annotated[float, not_negative] = 0.0
    warm_start: bool = False
    largest_rise: Annotated[float, not_negative] = 0.0
    search_blocks: Annotated[int, at_least(0)] = 0
    unit_reflectivity: bool = True
    listing: ListSettings = field(default_factory=ListSettings)


@dataclass(frozen=True)
class AlternatingState(Record):
    """State between two alternations.

    Attributes:
        imaging: state of imaging.
        phases: node phases.
        residual: mean |y - prediction|^2 over the links after the last block, in problem units [B].
        running: scenes that have not converged, bool [B].
        finite: scenes without a non-finite state so far, bool [B].
    """

    imaging: ImagingState
    phases: NodePhases
    residual: Tensor
    running: Tensor
    finite: Tensor


def pose_problem(csi: Csi, array: NodeArray, grid: PixelGrid, settings: AlternatingSettings) -> Problem:
    """The problem in the units that `settings` choose."""
    n_positions = grid.centre.shape[1]
    count = None if settings.unit_reflectivity else torch.full_like(grid.pixel, settings.imaging.sparsity * n_positions)
    return pose(csi, array, grid, count)


def init(problem: Problem, parameters: ImagingParameters, settings: AlternatingSettings) -> AlternatingState:
    """Node phases fitted to the trusted line of sight, zero without one; imaging at its prior."""
    fitted = refinement.initial_phases(problem, settings.synchronisation.node_phase)
    phases = NodePhases.at_rest(fitted.tx, fitted.rx)
    running = torch.ones_like(problem.grid.pixel, dtype=torch.bool)
    imaging = iteration.init(problem, observe(problem, phases), parameters, settings.imaging)
    residual = torch.full_like(problem.grid.pixel, torch.inf)
    return AlternatingState(imaging, phases, residual, running, running)


def begin_block(
    state: AlternatingState, problem: Problem, parameters: ImagingParameters, settings: AlternatingSettings, block: int
) -> tuple[AlternatingState, Tensor]:
    """Prepare the imaging of a block; returns the state and the observation of the block [B, n_tx, n_rx, K]."""
    observation = observe(problem, state.phases)
    imaging = state.imaging
    if block > 0 and not settings.warm_start:
        fresh = iteration.init(problem, observation, parameters, settings.imaging)
        imaging = choose(state.running, fresh, imaging)
    if settings.imaging.off_grid and settings.imaging.oversampling > 1 and block < settings.search_blocks:
        searched = iteration.search(imaging, problem, observation, settings.imaging)
        imaging = choose(state.running, searched, imaging)
    return replace(state, imaging=imaging), observation


def end_block(
    state: AlternatingState,
    before: AlternatingState,
    problem: Problem,
    settings: AlternatingSettings,
) -> AlternatingState:
    """Refine the node phases on the predicted channel, line of sight included.

    Args:
        state: the state after the imaging of the block.
        before: the state before the block; a block that diverges returns to it.
        problem: geometry and CSI.
        settings: settings of the alternation.
    """
    messages = state.imaging.messages
    reference = messages.prediction() + problem.los
    phases = refinement.step(problem.csi, reference, problem.link, state.phases, settings.synchronisation)
    turn = link_phasor(phases.tx_move, phases.rx_move)
    imaging = replace(state.imaging, messages=replace(messages, score=messages.score * turn))
    if settings.imaging.adapt_prior:
        imaging = iteration.adapt_amplitude(imaging)
    residual = problem.mean_power(problem.csi * link_phasor(phases.tx, phases.rx) - reference)
    ended = accept(replace(state, imaging=imaging, phases=phases, residual=residual), state)
    if settings.largest_rise == 0:
        return ended
    diverged = residual > settings.largest_rise * before.residual
    resting = replace(before.phases, tx_move=0 * before.phases.tx_move, rx_move=0 * before.phases.rx_move)
    undone = replace(before, phases=resting, running=ended.running, finite=ended.finite)
    return choose(diverged & ended.running, undone, ended)


def accept(new: AlternatingState, old: AlternatingState) -> AlternatingState:
    """The new state of every running scene; a scene whose new state is not finite keeps the old one and ends."""
    posterior = new.imaging.messages.posterior
    finite = torch.isfinite(posterior.mean.abs().sum((1, 2)) + posterior.variance.sum((1, 2)))
    finite = finite & torch.isfinite(new.phases.tx.sum((1, 2)) + new.phases.rx.sum((1, 2)))
    merged = choose(old.running & finite, new, old)
    ended = old.running & ~finite
    return replace(merged, running=merged.running & ~ended, finite=old.finite & ~ended)


def with_imaging(state: AlternatingState, imaging: ImagingState) -> AlternatingState:
    """The same state with another state of imaging."""
    return replace(state, imaging=imaging)


def record(old: ImagingState, new: ImagingState, problem: Problem, observation: Tensor) -> History:
    """One entry of the history [B, 1]: residual after the iteration, change during it, active pixels."""
    posterior = new.messages.posterior
    change = (posterior.mean[:, 0] - old.messages.posterior.mean[:, 0]).abs().mean(-1)
    residual = problem.mean_power(observation - new.messages.prediction()) * problem.unit.square()
    active = (posterior.log_odds[:, 0] > 0).sum(-1)
    return History(residual[:, None], change[:, None], active[:, None])


def to_estimate(
    state: AlternatingState, problem: Problem, settings: AlternatingSettings, entries: list[History]
) -> Estimate:
    """The estimate of a state, in the units of the CSI."""
    messages, phases = state.imaging.messages, state.phases
    scatterers = list_scatterers(state.imaging, problem, settings.listing, settings.imaging.offset_limit)
    residual = problem.mean_power(observe(problem, phases) - messages.prediction())
    scatterers, phase_std = with_joint_std(scatterers, phases, problem, residual)
    return assemble.from_parts(
        problem,
        scatterers,
        *(phases.tx, phases.rx, phase_std),
        reference=messages.prediction() + problem.los,
        pixel_probability=messages.posterior.log_odds[:, 0].sigmoid(),
        finite=state.finite,
        history=assemble.join(entries),
    )


@dataclass(frozen=True)
class AlternatingEstimator:
    """OG-AMP, or GAMP, alternating with synchronisation refinement: the untrained analytic estimator."""

    settings: AlternatingSettings

    @torch.no_grad()
    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes, each until it converges.

        Raises:
            ValueError: if shapes do not match, or `known_noise` is set and the CSI has no noise variance.
        """
        problem = pose_problem(csi, array, grid, self.settings)
        entries: list[History] = []
        for state in self.states(problem, entries):
            last = state
        return to_estimate(last, problem, self.settings, entries)

    @torch.no_grad()
    def states(self, problem: Problem, entries: list[History]) -> Iterator[AlternatingState]:
        """The state after each block until every scene has converged; the history is appended to `entries`."""
        settings = self.settings
        parameters = ImagingParameters.of(settings.imaging)
        state = init(problem, parameters, settings)
        for block in range(settings.blocks):
            before = state
            state, observation = begin_block(state, problem, parameters, settings, block)
            state = self._image(state, problem, observation, parameters, entries)
            state = replace(state, running=before.running & state.finite)
            state = end_block(state, before, problem, settings)
            largest = torch.cat([state.phases.tx_move, state.phases.rx_move], dim=1).abs().amax((1, 2))
            state = replace(state, running=state.running & (largest > settings.phase_tolerance))
            yield state
            if not state.running.any():
                return

    def _image(
        self,
        state: AlternatingState,
        problem: Problem,
        observation: Tensor,
        parameters: ImagingParameters,
        entries: list[History],
    ) -> AlternatingState:
        """Imaging iterations of one block; scenes that converge pause until the block ends."""
        imaging = self.settings.imaging
        for number in range(1, self.settings.iterations + 1):
            recentring = imaging.recentre_every > 0 and number % imaging.recentre_every == 0
            new = iteration.step(state.imaging, problem, observation, parameters, imaging, recentring)
            old, state = state, accept(with_imaging(state, new), state)
            entries.append(record(old.imaging, state.imaging, problem, observation))
            state = replace(state, running=state.running & (entries[-1].change[:, 0] > self.settings.tolerance))
            if not state.running.any():
                break
        return state
