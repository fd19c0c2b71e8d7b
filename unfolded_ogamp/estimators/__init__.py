"""Classic estimators: explicit state, `init` and `step`, one loop."""

from unfolded_ogamp.estimators.alternating import AlternatingEstimator, AlternatingSettings
from unfolded_ogamp.estimators.greedy_settings import GreedySettings
from unfolded_ogamp.estimators.greedy_starts import GreedyEstimator
from unfolded_ogamp.estimators.imaging_settings import ImagingParameters, ImagingSettings
from unfolded_ogamp.estimators.mismatch import MismatchWarning
from unfolded_ogamp.estimators.presets import PRESETS, paper, tuned
from unfolded_ogamp.estimators.synchronisation import SynchronisationSettings

__all__ = [
    "PRESETS",
    "AlternatingEstimator",
    "AlternatingSettings",
    "GreedyEstimator",
    "GreedySettings",
    "ImagingParameters",
    "ImagingSettings",
    "MismatchWarning",
    "SynchronisationSettings",
    "paper",
    "tuned",
]
