"""One training run: module, scenes and settings in, checkpoints and logs out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import lightning
from lightning.pytorch.callbacks import EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from unfolded_ogamp.evaluation.compare import Estimator
from unfolded_ogamp.provenance import provenance
from unfolded_ogamp.settings import Settings, at_least, positive, require, within
from unfolded_ogamp.training.datamodule import SceneDataModule
from unfolded_ogamp.training.module import UnfoldedModule
from unfolded_ogamp.training.validation import ValidationReport


@dataclass(frozen=True)
class RunSettings(Settings):
    """How a run is carried out.

    Attributes:
        output: folder of the checkpoints and the TensorBoard logs.
        epochs: number of epochs, each ending with a validation and a checkpoint.
        clip: largest norm of a gradient.
        averaging: decay of the moving average of the weights that is validated and exported.
        accelerator, devices: as Lightning takes them.
        resume: checkpoint to go on from.
    """

    output: str
    epochs: Annotated[int, at_least(1)]
    clip: Annotated[float, positive] = 1.0
    averaging: Annotated[float, within("[0, 1)")] = 0.98
    accelerator: str = "auto"
    devices: int = 1
    resume: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        found = self.resume is None or Path(self.resume).is_file()
        require(found, f"resume must be a checkpoint file, found none at {self.resume}")


class Origin(lightning.Callback):
    """Writes into every checkpoint where it comes from.

    Args:
        trained_on: scenario or mixture, as plain values.
        seed: of the scenes.
    """

    def __init__(self, trained_on: Mapping[str, Any], seed: int) -> None:
        self.trained_on, self.seed = trained_on, seed
        self.earlier = 0.0
        self.started = time.monotonic()

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        del trainer, pl_module
        self.started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {
            "trained_on": dict(self.trained_on),
            "seed": self.seed,
            "provenance": provenance(),
            "seconds": self.earlier + time.monotonic() - self.started,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.earlier = float(state_dict["seconds"])


def fit(
    module: UnfoldedModule,
    data: SceneDataModule,
    classic: Estimator,
    settings: RunSettings,
) -> Path:
    """Train, and return the path of the last checkpoint.

    Args:
        module: what is trained.
        data: scenes to train and validate on.
        classic: estimator that validation compares with.
        settings: how the run is carried out.

    Raises:
        FileExistsError: if there are checkpoints of another run where this one's would go.
    """
    output = Path(settings.output)
    if settings.resume is None and any((output / "checkpoints").glob("*.ckpt")):
        raise FileExistsError(
            f"run.output: expected a folder without checkpoints, or run.resume, found those of a run in {output}"
        )
    # saved after the epoch is counted: at the end of its validation it would be drawn again on resuming
    checkpoints = ModelCheckpoint(
        output / "checkpoints",
        filename="epoch_{epoch:03d}",
        auto_insert_metric_name=False,  # an equals sign in the name could not be given on the command line
        save_last=True,
        save_top_k=-1,
        save_on_train_epoch_end=True,
    )
    trainer = lightning.Trainer(
        max_epochs=settings.epochs,
        accelerator=settings.accelerator,
        devices=settings.devices,
        gradient_clip_val=settings.clip,
        use_distributed_sampler=False,
        log_every_n_steps=5,
        logger=TensorBoardLogger(output, name="tensorboard"),
        callbacks=[
            ValidationReport(module.system, classic),
            checkpoints,
            Origin(asdict(data.training), data.settings.seed),  # type: ignore[call-overload]
            EMAWeightAveraging(decay=settings.averaging, use_buffers=False),
            LearningRateMonitor("step"),
            RichProgressBar(leave=True),
        ],
    )
    trainer.fit(module, datamodule=data, ckpt_path=settings.resume)
    return Path(checkpoints.last_model_path)
