"""Settings of the greedy estimator, one class per stage; lengths are in carrier wavelengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from unfolded_ogamp.imaging.phases.autofocus import AutofocusSettings
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings
from unfolded_ogamp.settings import Settings, at_least, positive, unbounded, within


@dataclass(frozen=True)
class DetectionSettings(Settings):
    """Which echoes become sources, and which sources merge.

    Attributes:
        spacing: largest distance between neighbours of the search grid, along a coordinate.
        false_alarm: upper bound of the probability that noise alone adds a scatterer.
        share: least matched-filter power of a new source, as a share of the strongest new source of the round.
        separation: least distance between two new sources of a round.
        merge_radius: scatterers closer than this are merged.
    """

    spacing: Annotated[float, positive] = 0.25
    false_alarm: Annotated[float, within("(0, 1]")] = 1e-2
    share: Annotated[float, within("(0, 1]")] = 0.5
    separation: Annotated[float, positive] = 0.5
    merge_radius: Annotated[float, positive] = 0.05


@dataclass(frozen=True)
class StepSettings(Settings):
    """Joint steps of positions, reflectivities and node phases.

    Attributes:
        phase_count: least number of scatterers for which node phases are fitted; fewer do not determine them.
        steps: largest number of joint steps in a round.
        final_steps: largest number of joint steps after the last round.
        tolerance: relative decrease of the cost below which joint steps have converged.
        largest_move: largest displacement of a scatterer in a joint step.
    """

    phase_count: Annotated[int, at_least(1)] = 3
    steps: Annotated[int, at_least(1)] = 4
    final_steps: Annotated[int, at_least(1)] = 20
    tolerance: Annotated[float, positive] = 1e-5
    largest_move: Annotated[float, positive] = 0.1


@dataclass(frozen=True)
class RestartSettings(Settings):
    """From which node phases an estimator restarts.

    Attributes:
        together: number of starts that the scenes of a batch make together; after them, each scene goes on alone.
        focus_gain: if autofocus raises the sharpness by more than this factor, the first start uses the focused phases
            and the second start the given ones; otherwise the other way round.
        jitter: standard deviation [rad] of the noise added to the best node phases so far. Later starts alternate
            between these phases and random uniform phases after autofocus.
        seed: seed of these random numbers.
        autofocus: settings of autofocus.
    """

    together: Annotated[int, at_least(1)] = 2
    focus_gain: Annotated[float, positive, unbounded] = 1.5
    jitter: Annotated[float, positive] = 0.3
    seed: Annotated[int, at_least(0)] = 0
    autofocus: AutofocusSettings = field(default_factory=AutofocusSettings)


@dataclass(frozen=True)
class GreedySettings(Settings):
    """Settings of the greedy estimator.

    Attributes:
        detection, step, restarts, calibration: settings of the stages.
        rounds: largest number of rounds in a detection pass.
    """

    detection: DetectionSettings = field(default_factory=DetectionSettings)
    step: StepSettings = field(default_factory=StepSettings)
    restarts: RestartSettings = field(default_factory=RestartSettings)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    rounds: Annotated[int, at_least(1)] = 40
