"""Settings of the greedy estimator, split by who reads them; lengths are in carrier wavelengths."""

from __future__ import annotations

from dataclasses import dataclass, field

from unfolded_ogamp.imaging.phases.autofocus import AutofocusSettings


@dataclass(frozen=True)
class DetectionSettings:
    """Which echoes become sources, and which sources are one.

    Attributes:
        spacing: largest distance between the positions that are searched, along a coordinate.
        false_alarm: upper bound of the probability that noise alone adds a scatterer.
        share: candidates of a round have at least this share of the strongest one's matched-filter power.
        separation: least distance between two candidates of one round.
        merge_radius: scatterers closer than this are one.
        extent: where targets are extended, weaker scatterers within this radius of one are part of it.
    """

    spacing: float = 0.25
    false_alarm: float = 1e-2
    share: float = 0.5
    separation: float = 0.5
    merge_radius: float = 0.05
    extent: float = 0.5

    def __post_init__(self) -> None:
        for name in ("spacing", "separation", "merge_radius", "extent", "false_alarm", "share"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("false_alarm", "share"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be at most 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class StepSettings:
    """Joint steps of positions, reflectivities and node phases.

    Attributes:
        phase_count: scatterers without which the node phases are not fitted: fewer leave them too free.
        steps: largest number of joint steps in a round.
        final_steps: largest number of joint steps after the last round.
        tolerance: share of the cost below which a joint step has converged.
        largest_move: largest change of a position in a joint step.
    """

    phase_count: int = 3
    steps: int = 4
    final_steps: int = 20
    tolerance: float = 1e-5
    largest_move: float = 0.1

    def __post_init__(self) -> None:
        for name in ("tolerance", "largest_move"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("phase_count", "steps", "final_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class RestartSettings:
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

    starts: int = 20
    margin: float = 4.0
    focus_gain: float = 1.5
    jitter: float = 0.3
    seed: int = 0
    autofocus: AutofocusSettings = field(default_factory=AutofocusSettings)

    def __post_init__(self) -> None:
        for name in ("margin", "focus_gain", "jitter"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.starts < 1:
            raise ValueError(f"starts must be at least 1, got {self.starts}")


@dataclass(frozen=True)
class GreedySettings:
    """Settings of the greedy estimator.

    Attributes:
        detection, step, restarts: settings of its parts.
        rounds: largest number of rounds in a start.
    """

    detection: DetectionSettings = field(default_factory=DetectionSettings)
    step: StepSettings = field(default_factory=StepSettings)
    restarts: RestartSettings = field(default_factory=RestartSettings)
    rounds: int = 40

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, got {self.rounds}")
