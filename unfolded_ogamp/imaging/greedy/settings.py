"""Settings of the greedy estimator, split by who reads them; lengths are in carrier wavelengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from unfolded_ogamp.imaging.phases.autofocus import AutofocusSettings
from unfolded_ogamp.settings import Settings, at_least, positive, unbounded, within


@dataclass(frozen=True)
class DetectionSettings(Settings):
    """Which echoes become sources, and which sources are one.

    Attributes:
        spacing: largest distance between the positions that are searched, along a coordinate.
        false_alarm: upper bound of the probability that noise alone adds a scatterer.
        share: candidates of a round have at least this share of the strongest one's matched-filter power.
        separation: least distance between two candidates of one round.
        merge_radius: scatterers closer than this are one.
        extent: where targets are extended, weaker scatterers within this radius of one are part of it.
    """

    spacing: Annotated[float, positive] = 0.25
    false_alarm: Annotated[float, within("(0, 1]")] = 1e-2
    share: Annotated[float, within("(0, 1]")] = 0.5
    separation: Annotated[float, positive] = 0.5
    merge_radius: Annotated[float, positive] = 0.05
    extent: Annotated[float, positive] = 0.5


@dataclass(frozen=True)
class StepSettings(Settings):
    """Joint steps of positions, reflectivities and node phases.

    Attributes:
        phase_count: scatterers without which the node phases are not fitted: fewer leave them too free.
        steps: largest number of joint steps in a round.
        final_steps: largest number of joint steps after the last round.
        tolerance: share of the cost below which a joint step has converged.
        largest_move: largest change of a position in a joint step.
    """

    phase_count: Annotated[int, at_least(1)] = 3
    steps: Annotated[int, at_least(1)] = 4
    final_steps: Annotated[int, at_least(1)] = 20
    tolerance: Annotated[float, positive] = 1e-5
    largest_move: Annotated[float, positive] = 0.1


@dataclass(frozen=True)
class RestartSettings(Settings):
    """When an estimator starts again, and from which node phases.

    Attributes:
        starts: largest number of starts.
        margin: standard deviations by which the residual of a consistent scene may exceed the noise.
        focus_gain: gain of sharpness by autofocus above which the first start takes its phases; else it takes the
            assumed ones, and the second start takes the other ones.
        jitter: further starts are by turns from the node phases of the best one so far, with noise of this standard
            deviation [rad], and from uniform node phases that autofocus improves.
        seed: of these random numbers.
        autofocus: settings of autofocus.
    """

    starts: Annotated[int, at_least(1)] = 20
    margin: Annotated[float, positive] = 4.0
    focus_gain: Annotated[float, positive, unbounded] = 1.5
    jitter: Annotated[float, positive] = 0.3
    seed: Annotated[int, at_least(0)] = 0
    autofocus: AutofocusSettings = field(default_factory=AutofocusSettings)


@dataclass(frozen=True)
class GreedySettings(Settings):
    """Settings of the greedy estimator.

    Attributes:
        detection, step, restarts: settings of its parts.
        rounds: largest number of rounds in a start.
    """

    detection: DetectionSettings = field(default_factory=DetectionSettings)
    step: StepSettings = field(default_factory=StepSettings)
    restarts: RestartSettings = field(default_factory=RestartSettings)
    rounds: Annotated[int, at_least(1)] = 40
