"""The alternating loop: imaging and synchronisation refinement by turns, Fig. 3 of the paper."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unfolded_ogamp.estimate import Estimate, History
from unfolded_ogamp.estimators import off_grid_gamp, synchronisation
from unfolded_ogamp.estimators.imaging_settings import ImagingParameters, ImagingSettings
from unfolded_ogamp.estimators.off_grid_gamp import ImagingState
from unfolded_ogamp.estimators.problem import Problem, phasor, pose
from unfolded_ogamp.estimators.scatterers import ListSettings, list_scatterers
from unfolded_ogamp.estimators.synchronisation import SynchronisationSettings
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.records import Record, choose


@dataclass(frozen=True)
class AlternatingSettings:
    """Settings of the alternation; the defaults are the paper's.

    Attributes:
        imaging, synchronisation: settings of the two steps that alternate.
        blocks: largest number of alternations.
        iterations: largest number of imaging iterations in a block.
        tolerance: a block's imaging ends when the mean absolute change of the reflectivity falls below this.
        phase_tolerance: the alternation ends when the largest change of a node phase falls below this, [rad].
        warm_start: a block's imaging starts from the last one; else from the prior.
        search_blocks: the first blocks search inactive pixels, see `ImagingSettings.oversampling`.
        unit_reflectivity: reflectivity is of order one in the units of the CSI, as the paper has it; else its scale is
            taken from the power of the CSI and the sparsity.
        listing: how active pixels become a list of scatterers.
    """

    imaging: ImagingSettings = field(default_factory=ImagingSettings)
    synchronisation: SynchronisationSettings = field(default_factory=SynchronisationSettings)
    blocks: int = 10
    iterations: int = 60
    tolerance: float = 1e-4
    phase_tolerance: float = 0.0
    warm_start: bool = False
    search_blocks: int = 0
    unit_reflectivity: bool = True
    listing: ListSettings = field(default_factory=ListSettings)

    def __post_init__(self) -> None:
        for name in ("blocks", "iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("tolerance", "phase_tolerance", "search_blocks"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class AlternatingState(Record):
    """State between two alternations.

    Attributes:
        imaging: state of imaging.
        tx_phase, rx_phase: node phases [B, n_tx, K'], [B, n_rx, K'], [rad]; K' = 1 where the frequencies share them.
        running: scenes that have not converged, bool [B].
        finite: scenes in which nothing non-finite has come up, bool [B].
    """

    imaging: ImagingState
    tx_phase: Tensor
    rx_phase: Tensor
    running: Tensor
    finite: Tensor


def pose_problem(csi: Csi, array: NodeArray, grid: PixelGrid, settings: AlternatingSettings) -> Problem:
    """The problem in the units that `settings` ask for."""
    n_positions = grid.centre.shape[1]
    count = None if settings.unit_reflectivity else torch.full_like(grid.pixel, settings.imaging.sparsity * n_positions)
    return pose(csi, array, grid, count)


def init(problem: Problem, parameters: ImagingParameters, settings: AlternatingSettings) -> AlternatingState:
    """Zero phases, or where there is a trusted line of sight the phases that fit it; imaging at its prior."""
    batch, n_tx, n_rx, n_frequencies = problem.csi.shape
    n_phases = n_frequencies if settings.synchronisation.per_frequency else 1
    tx_phase = problem.array.tx.new_zeros(batch, n_tx, n_phases)
    rx_phase = problem.array.rx.new_zeros(batch, n_rx, n_phases)
    coarse = replace(settings.synchronisation, method="alignment", alignment_iterations=20)
    tx_phase, rx_phase = synchronisation.step(
        problem.csi, problem.los, problem.trusted, tx_phase, rx_phase, coarse, phase_step=1.0
    )
    observation = observe(problem, tx_phase, rx_phase)
    running = torch.ones(batch, dtype=torch.bool, device=problem.csi.device)
    imaging = off_grid_gamp.init(problem, observation, parameters, settings.imaging)
    return AlternatingState(imaging, tx_phase, rx_phase, running, running)


def observe(problem: Problem, tx_phase: Tensor, rx_phase: Tensor) -> Tensor:
    """NLOS observation (29): phases taken out, ideal line of sight subtracted; [B, n_tx, n_rx, K]."""
    return problem.csi * phasor(tx_phase, rx_phase) - problem.los


def begin_block(
    state: AlternatingState, problem: Problem, parameters: ImagingParameters, settings: AlternatingSettings, block: int
) -> tuple[AlternatingState, Tensor]:
    """What precedes the imaging of a block; returns the state and the observation [B, n_tx, n_rx, K] of the block."""
    observation = observe(problem, state.tx_phase, state.rx_phase)
    imaging = state.imaging
    if block > 0 and not settings.warm_start:
        fresh = off_grid_gamp.init(problem, observation, parameters, settings.imaging)
        imaging = choose(state.running, fresh, imaging)
    if settings.imaging.off_grid and settings.imaging.oversampling > 1 and block < settings.search_blocks:
        searched = off_grid_gamp.search(imaging, problem, observation, settings.imaging)
        imaging = choose(state.running, searched, imaging)
    return replace(state, imaging=imaging), observation


def end_block(
    state: AlternatingState, problem: Problem, settings: AlternatingSettings, phase_step: Tensor | float
) -> AlternatingState:
    """Synchronisation refinement on the channel that imaging predicts, line of sight included."""
    messages = state.imaging.messages
    tx_phase, rx_phase = synchronisation.step(
        problem.csi,
        messages.prediction() + problem.los,
        problem.link,
        state.tx_phase,
        state.rx_phase,
        settings.synchronisation,
        phase_step,
    )
    turn = phasor(tx_phase - state.tx_phase, rx_phase - state.rx_phase)
    imaging = replace(state.imaging, messages=replace(messages, score=messages.score * turn))
    if settings.imaging.adapt_prior:
        imaging = off_grid_gamp.adapt_amplitude(imaging)
    return accept(replace(state, imaging=imaging, tx_phase=tx_phase, rx_phase=rx_phase), state)


def accept(new: AlternatingState, old: AlternatingState) -> AlternatingState:
    """Scene by scene the new state, unless the scene has ended or the new state is not finite, which ends it."""
    posterior = new.imaging.messages.posterior
    finite = torch.isfinite(posterior.mean.abs().sum((1, 2)) + posterior.variance.sum((1, 2)))
    finite = finite & torch.isfinite(new.tx_phase.sum((1, 2)) + new.rx_phase.sum((1, 2)))
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


def conclude(
    state: AlternatingState, problem: Problem, settings: AlternatingSettings, entries: list[History]
) -> Estimate:
    """The estimate that a state stands for, in the units of the CSI."""
    posterior = state.imaging.messages.posterior
    reference = state.imaging.messages.prediction() + problem.los
    prediction = reference * phasor(state.tx_phase, state.rx_phase).conj() * problem.link
    n_frequencies = problem.csi.shape[-1]
    power = problem.unit.square()
    return Estimate(
        scatterers=list_scatterers(state.imaging, problem, settings.listing, settings.imaging.offset_limit),
        tx_phase=state.tx_phase.expand(-1, -1, n_frequencies),
        rx_phase=state.rx_phase.expand(-1, -1, n_frequencies),
        pixel_probability=posterior.log_odds[:, 0].sigmoid(),
        noise_variance=state.imaging.noise_variance * power,
        prediction=prediction * problem.unit[:, None, None, None],
        residual=problem.mean_power(problem.csi - prediction) * power,
        finite=state.finite,
        history=History(
            residual=torch.cat([entry.residual for entry in entries], dim=1),
            change=torch.cat([entry.change for entry in entries], dim=1),
            active=torch.cat([entry.active for entry in entries], dim=1),
        ),
    )


@dataclass(frozen=True)
class AlternatingEstimator:
    """OG-AMP, or GAMP, alternating with synchronisation refinement: the untrained analytic estimator."""

    settings: AlternatingSettings

    @torch.no_grad()
    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes, each until it converges.

        Raises:
            ValueError: if shapes do not fit one another, or the noise variance should be known and is not.
        """
        settings = self.settings
        problem = pose_problem(csi, array, grid, settings)
        parameters = ImagingParameters.of(settings.imaging)
        state = init(problem, parameters, settings)
        entries: list[History] = []
        for block in range(settings.blocks):
            before = state
            state, observation = begin_block(state, problem, parameters, settings, block)
            state = self._image(state, problem, observation, parameters, entries)
            state = replace(state, running=before.running & state.finite)
            state = end_block(state, problem, settings, settings.synchronisation.phase_step)
            moved = torch.cat([state.tx_phase - before.tx_phase, state.rx_phase - before.rx_phase], dim=1)
            largest = synchronisation.wrap(moved).abs().amax((1, 2))
            state = replace(state, running=state.running & (largest > settings.phase_tolerance))
            if not state.running.any():
                break
        return conclude(state, problem, settings, entries)

    def _image(
        self,
        state: AlternatingState,
        problem: Problem,
        observation: Tensor,
        parameters: ImagingParameters,
        entries: list[History],
    ) -> AlternatingState:
        """Imaging iterations of one block; scenes that converge stop running until the block ends."""
        imaging = self.settings.imaging
        for iteration in range(1, self.settings.iterations + 1):
            recentring = imaging.recentre_every > 0 and iteration % imaging.recentre_every == 0
            new = off_grid_gamp.step(state.imaging, problem, observation, parameters, imaging, recentring)
            old, state = state, accept(with_imaging(state, new), state)
            entries.append(record(old.imaging, state.imaging, problem, observation))
            state = replace(state, running=state.running & (entries[-1].change[:, 0] > self.settings.tolerance))
            if not state.running.any():
                break
        return state
