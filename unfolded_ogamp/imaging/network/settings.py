"""Settings of the unfolded network."""

from __future__ import annotations

from dataclasses import dataclass, field

from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.ogamp.presets import screened_imaging
from unfolded_ogamp.imaging.ogamp.screening import ScreeningSettings
from unfolded_ogamp.imaging.ogamp.settings import ImagingSettings
from unfolded_ogamp.imaging.phases.refinement import SynchronisationSettings

SYNCHRONISATION = SynchronisationSettings(
    method="alignment", alignment_iterations=10, node_phase="common", phase_step=1.7
)
KINDS = {
    "imaging": ImagingSettings,
    "synchronisation": SynchronisationSettings,
    "screening": ScreeningSettings,
    "greedy": GreedySettings,
}


@dataclass(frozen=True)
class NetworkSettings:
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

    blocks: int = 8
    first_exit: int = 2
    layers: int = 2
    detection_passes: int = 3
    additions: int = 6
    false_alarms: float = 1.0
    joint_layers: int = 2
    final_layers: int = 3
    prunings: int = 4
    width: int = 16
    starts: int = 4
    fallback: bool = True
    imaging: ImagingSettings = field(default_factory=screened_imaging)
    synchronisation: SynchronisationSettings = SYNCHRONISATION
    screening: ScreeningSettings = field(default_factory=ScreeningSettings)
    greedy: GreedySettings = field(default_factory=GreedySettings)

    def __post_init__(self) -> None:
        for name in ("blocks", "first_exit", "layers", "additions", "joint_layers", "final_layers", "starts"):
            _check_count(name, getattr(self, name), least=1)
        for name in ("detection_passes", "prunings", "width"):
            _check_count(name, getattr(self, name), least=0)
        for name, kind in KINDS.items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} must be {kind.__name__}, got {getattr(self, name)!r}")
        if not 0 < self.false_alarms <= 1:
            raise ValueError(f"false_alarms must be in (0, 1], got {self.false_alarms}")
        if self.first_exit > self.blocks:
            raise ValueError(f"first_exit must be at most blocks = {self.blocks}, got {self.first_exit}")


def _check_count(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
