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
        jitter: standard deviation of the noise added to given node phases, [rad].
        extra: sources of a model beyond the rank of the links' matrix.
        saturation: share of the nodes of the smaller side above which the rank can be below the number of scatterers.
        hidden: additional sources of a model per unit of the rank above this share.
        filled: additional sources leave at least the others of the samples: a share of them, as unknowns.
        phase_count: least number of sources for which node phases are fitted during growth.
        per_peak: sources for each further one that is added at once; models with fewer grow by one source at a time.
        separation: least distance between sources that are added at once.
        steps: joint steps after each growth.
        undecided: with S sources, a share (undecided / S)^2 of the starts is kept.
        kept: least number of models that are kept.
        final_steps: joint steps of the kept models.
        cycles: cycles of swaps of a batch.
        progress: a cycle follows only if the last one lowered the best cost below this share.
        swapped: sources that a cycle removes from each kept model, besides the extra ones.
        largest_move: largest displacement of a source in a joint step.
        autofocus: settings of autofocus; a start takes at most its steps.
    """

    spacing: Annotated[float, positive] = 0.25
    starts: Annotated[int, at_least(2)] = 128
    jitter: Annotated[float, not_negative] = 0.45
    extra: Annotated[int, at_least(0)] = 3
    saturation: Annotated[float, within("(0, 1]")] = 0.7
    hidden: Annotated[float, not_negative] = 4.0
    filled: Annotated[float, within("(0, 1]")] = 0.85
    phase_count: Annotated[int, at_least(1)] = 2
    per_peak: Annotated[int, at_least(1)] = 4
    separation: Annotated[float, positive] = 0.5
    steps: Annotated[int, at_least(1)] = 2
    undecided: Annotated[float, positive] = 2.0
    kept: Annotated[int, at_least(1)] = 10
    final_steps: Annotated[int, at_least(1)] = 6
    cycles: Annotated[int, at_least(0)] = 4
    progress: Annotated[float, within("(0, 1]")] = 0.9
    swapped: Annotated[int, at_least(1)] = 2
    largest_move: Annotated[float, positive] = 0.1
    autofocus: AutofocusSettings = field(default_factory=lambda: AutofocusSettings(steps=20))
