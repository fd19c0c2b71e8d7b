"""Settings of the searches without synchronisation; lengths are in carrier wavelengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from unfolded_ogamp.imaging.phases.autofocus import AutofocusSettings
from unfolded_ogamp.settings import Settings, at_least, not_negative, positive, within


@dataclass(frozen=True)
class OvershootSettings(Settings):
    """Settings of the search by overshoot and swap.

    Attributes:
        spacing: largest distance between neighbours of the search grid, along a coordinate.
        starts: number of starts of a batch.
        focused: share of the starts whose random phases go through autofocus.
        jitter: standard deviation of the noise added to given node phases, [rad].
        extra: sources of a model beyond the rank of the links' matrix.
        saturation: a rank above this share of the smaller side's nodes can be far below the number of scatterers.
        per_node: sources of a model per node of the smaller side, where the rank is saturated.
        phase_count: least number of sources for which node phases are fitted during growth.
        steps: joint steps after each new source.
        kept: share of the models that is kept after growth.
        final_steps: joint steps of the kept models.
        cycles: cycles of swaps of a batch.
        swapped: sources that a cycle removes from each kept model, besides the extra ones.
        largest_move: largest displacement of a source in a joint step.
        autofocus: settings of autofocus.
    """

    spacing: Annotated[float, positive] = 0.25
    starts: Annotated[int, at_least(2)] = 48
    focused: Annotated[float, within("[0, 1]")] = 0.5
    jitter: Annotated[float, not_negative] = 0.3
    extra: Annotated[int, at_least(0)] = 3
    saturation: Annotated[float, within("(0, 1]")] = 0.7
    per_node: Annotated[float, positive] = 1.5
    phase_count: Annotated[int, at_least(1)] = 2
    steps: Annotated[int, at_least(1)] = 3
    kept: Annotated[float, within("(0, 1]")] = 0.5
    final_steps: Annotated[int, at_least(1)] = 6
    cycles: Annotated[int, at_least(0)] = 4
    swapped: Annotated[int, at_least(1)] = 2
    largest_move: Annotated[float, positive] = 0.1
    autofocus: AutofocusSettings = field(default_factory=AutofocusSettings)
