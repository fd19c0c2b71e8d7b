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
    """Structure of the network; geometry, grid and all counts are inputs.

    Attributes:
        blocks: number of imaging blocks, each ending with a synchronisation layer.
        first_exit: number of blocks after which scenes with a residual consistent with the noise skip the others.
        layers: imaging layers in a block.
        detection_passes: detection passes on the residual after imaging; all but the first only for scenes whose
            residual exceeds the noise.
        additions: largest number of scatterers that a detection pass adds.
        false_alarms: upper bound of the expected number of false detections per scene; the competition removes them.
        joint_layers: joint layers after imaging and after a detection pass; joint steps after a pruning.
        final_layers: further joint layers before the competition.
        prunings: number of times that the competition removes improbable sources.
        width: width of the hidden layers of the competition; 0 uses the information criterion alone.
        starts: largest number of starts; all but the first only for scenes whose residual exceeds the noise.
        fallback: continue with the greedy estimator in scenes whose residual still exceeds the noise.
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
