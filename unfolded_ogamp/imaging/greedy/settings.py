"""Settings of the greedy estimator."""

from __future__ import annotations

from dataclasses import dataclass, field

from unfolded_ogamp.imaging.phases.autofocus import AutofocusSettings


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
