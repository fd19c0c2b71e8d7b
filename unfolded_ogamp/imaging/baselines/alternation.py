"""The alternation that all baselines share: an image, then the node phases as in OG-AMP."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import torch
from torch import Tensor

from unfolded_ogamp.imaging.assembly import assemble
from unfolded_ogamp.imaging.assembly.certainty import pixel_presence, presence
from unfolded_ogamp.imaging.baselines.points import Points, channel, columns_at, merged, refit
from unfolded_ogamp.imaging.estimate import Estimate, History, Scatterers
from unfolded_ogamp.imaging.likelihood.uncertainty import with_joint_std
from unfolded_ogamp.imaging.ogamp.listing import ListSettings
from unfolded_ogamp.imaging.ogamp.presets import tuned
from unfolded_ogamp.imaging.phases import refinement
from unfolded_ogamp.imaging.phases.refinement import NodePhases, SynchronisationSettings, initial_phases, observe
from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.settings import Settings, at_least, not_negative, require, within


class Imager(Protocol):
    """The imaging method of a baseline, for given node phases."""

    def image(self, problem: Problem, observation: Tensor, points: Points, search: bool) -> Points:
        """The next image of one scene.

        Args:
            problem: geometry and links, a batch of one.
            observation: CSI without node phases and line of sight, in problem units [1, n_tx, n_rx, K].
            points: the last image; before the first image, the pixel centres without a scatterer.
            search: search the whole region; otherwise refine `points`, all of which hold a scatterer.
        """
        ...


@dataclass(frozen=True)
class AlternationSettings(Settings):
    """Settings of the alternation, the same for all baselines.

    Attributes:
        synchronisation: refinement of the node phases; by default as for `og_amp`.
        rounds: largest number of rounds.
        search_rounds: number of rounds that search the whole region; later rounds refine the points found.
        phase_tolerance: the alternation ends when the largest change of a node phase falls below this, [rad].
        listing: how points become scatterers; by default as for `og_amp`.
        false_alarm: upper bound of the probability that noise alone adds a scatterer to the list of a scene.
    """

    synchronisation: SynchronisationSettings = field(default_factory=lambda: tuned().synchronisation)
    rounds: Annotated[int, at_least(1)] = 60
    search_rounds: Annotated[int, at_least(1)] = 5
    phase_tolerance: Annotated[float, not_negative] = math.pi * 1e-4
    listing: ListSettings = field(default_factory=lambda: tuned().listing)
    false_alarm: Annotated[float, within("(0, 1]")] = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        common = self.synchronisation.node_phase == "common"
        require(common, "synchronisation must have one phase per node for all frequencies, got one for each")
        within_rounds = self.search_rounds <= self.rounds
        require(within_rounds, f"search_rounds must be at most rounds = {self.rounds}, got {self.search_rounds}")


@dataclass(frozen=True)
class BaselineEstimator:
    """A baseline: imaging in alternation with synchronisation refinement; one scene at a time, on the CPU."""

    imager: Imager
    settings: AlternationSettings = field(default_factory=AlternationSettings)

    @torch.no_grad()
    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        """Estimate scatterers and node phases of a batch of scenes.

        Raises:
            ValueError: if shapes do not match.
        """
        csi, array, grid = csi.to(device="cpu"), array.to(device="cpu"), grid.to(device="cpu")
        # an expected count of one: it sets the units only
        problem = pose(csi, array, grid, torch.ones_like(grid.pixel))
        estimates = [self._estimate(problem[scene : scene + 1]) for scene in range(len(csi.value))]
        return assemble.batched(estimates)

    def _estimate(self, problem: Problem) -> Estimate:
        settings = self.settings
        points, phases = Points.at_pixel_centres(problem), initial_phases(problem)
        entries = []
        for number in range(settings.rounds):
            search = number < settings.search_rounds
            points = points if search else points.found()
            if not search and points.reflectivity.numel() == 0:
                break
            points = self.imager.image(problem, observe(problem, phases), points, search)
            reference = channel(points, problem) + problem.los
            phases = refinement.step(problem.csi, reference, problem.link, phases, settings.synchronisation)
            residual = problem.mean_power(observe(problem, phases) + problem.los - reference)
            entries.append((residual, (points.reflectivity != 0).sum(1)))
            largest = torch.cat([phases.tx_move, phases.rx_move], dim=1).abs().amax()
            if not search and largest <= settings.phase_tolerance:
                break
        return to_estimate(points.found(), phases, problem, settings, entries)


def listed(points: Points, problem: Problem, observation: Tensor, settings: AlternationSettings) -> Points:
    """Merge the points, refit their reflectivities, and remove points below the false-alarm threshold.

    Penalties shrink reflectivities, and matched filters add those of neighbours; the least-squares refit removes both
    errors.
    """
    points = refit(merged(points, problem, settings.listing), problem, observation)
    threshold = math.log(problem.grid.centre.shape[1] / settings.false_alarm)
    while points.reflectivity.numel() > 0:
        noise = problem.mean_power(observation - channel(points, problem))
        above_noise = strength(points, problem) / noise
        if bool((above_noise >= threshold).all()):
            break
        points = refit(points.keep((above_noise > above_noise.amin())[0]), problem, observation)
    return points


def strength(points: Points, problem: Problem) -> Tensor:
    """Power |x|^2 |a|^2 of the echo of every point, summed over links and subcarriers [1, S]."""
    power = points.reflectivity.real.square() + points.reflectivity.imag.square()
    return power * columns_at(points, problem, derivatives=False).energy(problem.link)


def to_estimate(
    points: Points,
    phases: NodePhases,
    problem: Problem,
    settings: AlternationSettings,
    entries: list[tuple[Tensor, Tensor]],
) -> Estimate:
    """The estimate of one scene, in the units of the CSI; `entries`: residual [1] and point count [1] of each round."""
    observation = observe(problem, phases)
    points = listed(points, problem, observation, settings)
    reference = channel(points, problem) + problem.los
    residual = problem.mean_power(observation + problem.los - reference)
    centre = problem.grid.centre[0]
    probability = presence(strength(points, problem)[0] / residual, len(centre))
    pixel_probability = pixel_presence(points.position[0], probability, centre)[None]
    order = strength(points, problem)[0].argsort(descending=True)
    scatterers = Scatterers.points(
        position=points.position[0, order],
        covariance=torch.diag_embed(torch.full_like(points.position[0], torch.inf)),
        reflectivity=points.reflectivity[0, order] * problem.reflectivity_scale,
        probability=probability[order],
    )
    residuals = torch.stack([entry for entry, _ in entries], dim=1) * problem.unit.square()
    counts = torch.stack([count for _, count in entries], dim=1)
    listed_scatterers, phase_std = with_joint_std([scatterers], phases, problem, residual)
    return assemble.from_parts(
        problem,
        listed_scatterers,
        *(phases.tx, phases.rx, phase_std),
        reference=reference,
        pixel_probability=pixel_probability,
        finite=torch.isfinite(residual),
        history=History(residuals, torch.zeros_like(residuals), counts),
    )
