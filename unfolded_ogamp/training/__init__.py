"""Training of unfolded networks: the only place that knows Lightning."""

from unfolded_ogamp.training.checkpoint import CheckpointError, load_checkpoint
from unfolded_ogamp.training.datamodule import DataSettings, SceneDataModule
from unfolded_ogamp.training.losses import LossSettings
from unfolded_ogamp.training.module import OptimiserSettings, UnfoldedModule
from unfolded_ogamp.training.quiet import fit_quietly
from unfolded_ogamp.training.run import RunSettings, fit

__all__ = [
    "CheckpointError",
    "DataSettings",
    "LossSettings",
    "OptimiserSettings",
    "RunSettings",
    "SceneDataModule",
    "UnfoldedModule",
    "fit",
    "fit_quietly",
    "load_checkpoint",
]
