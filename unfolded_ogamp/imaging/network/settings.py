"""Settings of the unfolded network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.ogamp.presets import screened_imaging
from unfolded_ogamp.imaging.ogamp.screening import ScreeningSettings
from unfolded_ogamp.imaging.ogamp.settings import ImagingSettings
from unfolded_ogamp.imaging.phases.refinement import SynchronisationSettings
from unfolded_ogamp.settings import Settings, at_least, require, within

SYNCHRONISATION = SynchronisationSettings(
    method="alignment", alignment_iterations=10, node_phase="common", phase_step=1.7
)


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """What is fixed when the network is built; geometry, grid and all counts are inputs.

    Attributes:
        blocks: number of imaging blocks, each ending with a synchronisation layer.
        first_exit: blocks after which scenes leave whose residual is consistent with the noise.
        layers: imaging layers in a block.
        detection_passes: times the residual is searched for further scatterers after imaging; all but the first for
            scenes whose residual exceeds the noise.
        additions: largest number of scatterers that a detection pass adds.
        false_alarms: upper bound of the number of echoes that noise adds to a scene; the competition takes them out.
        joint_layers: joint layers after imaging, and right after a detection pass; joint steps after a pruning.
        final_layers: joint layers after those, before the competition.
        prunings: times the competition takes out improbable sources.
        width: of the competition's hidden layers; 0 leaves the decision to the information criterion.
        starts: largest number of node phases to start from; all but the first for scenes whose residual exceeds
            the noise.
        fallback: whether scenes whose residual still exceeds the noise go to the greedy estimator.
        imaging, synchronisation, screening, greedy: settings of the analytic steps that the layers call.
    """

    blocks: Annotated[int, at_least(1)] = 8
    first_exit: Annotated[int, at_least(1)] = 2
    layers: Annotated[int, at_least(1)] = 2
    detection_passes: Annotated[int, at_least(0)] = 3
    additions: Annotated[int, at_least(1)] = 6
    false_alarms: Annotated[float, within("(0, 1]")] = 1.0
    joint_layers: Annotated[int, at_least(1)] = 2
    final_layers: Annotated[int, at_least(1)] = 3
    prunings: Annotated[int, at_least(0)] = 4
    width: Annotated[int, at_least(0)] = 16
    starts: Annotated[int, at_least(1)] = 4
    fallback: bool = True
    imaging: ImagingSettings = field(default_factory=screened_imaging)
    synchronisation: SynchronisationSettings = SYNCHRONISATION
    screening: ScreeningSettings = field(default_factory=ScreeningSettings)
    greedy: GreedySettings = field(default_factory=GreedySettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        exists = self.first_exit <= self.blocks
        require(exists, f"first_exit must be at most blocks = {self.blocks}, got {self.first_exit}")
