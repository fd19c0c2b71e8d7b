"""Settings of the self-calibrating fit; lengths are in carrier wavelengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from unfolded_ogamp.imaging.phases.autofocus import AutofocusSettings
from unfolded_ogamp.settings import Settings, at_least, positive, within


@dataclass(frozen=True)
class CalibrationSettings(Settings):
    """Settings of a start.

    Attributes:
        spacing: largest distance between neighbours of the search grid, along a coordinate.
        false_alarm: probability that independent residuals of the links alone add a scatterer.
        share: least matched-filter power of a new source, as a share of the strongest new source of the round.
        separation: least distance between two new sources of a round.
        merge_radius: scatterers closer than this are merged.
        rounds: largest number of rounds of detection.
        close_rounds: the same, of detection beside other sources.
        phase_count: least number of scatterers for which node phases are fitted.
        node_count: least number of scatterers for which nodes are free.
        samples: least number of real samples per unknown of nodes and scatterers for which nodes are free.
        round_steps, steps: largest number of joint steps in a round, and after an update.
        tolerance: relative decrease of the cost below which joint steps have converged.
        largest_move: largest displacement of a scatterer or node in a joint step.
        updates: largest number of updates of scales and weights.
        jitter: standard deviation of the noise added to the phases of the best start for the next one, [rad].
        autofocus: settings of autofocus.
    """

    spacing: Annotated[float, positive] = 0.25
    false_alarm: Annotated[float, within("(0, 1]")] = 1e-3
    share: Annotated[float, within("(0, 1]")] = 0.5
    separation: Annotated[float, positive] = 0.5
    merge_radius: Annotated[float, positive] = 0.05
    rounds: Annotated[int, at_least(1)] = 40
    close_rounds: Annotated[int, at_least(0)] = 2
    phase_count: Annotated[int, at_least(1)] = 3
    node_count: Annotated[int, at_least(1)] = 8
    samples: Annotated[float, positive] = 2.0
    round_steps: Annotated[int, at_least(1)] = 4
    steps: Annotated[int, at_least(1)] = 10
    tolerance: Annotated[float, positive] = 1e-5
    largest_move: Annotated[float, positive] = 0.1
    updates: Annotated[int, at_least(1)] = 6
    jitter: Annotated[float, positive] = 0.3
    autofocus: AutofocusSettings = field(default_factory=AutofocusSettings)
