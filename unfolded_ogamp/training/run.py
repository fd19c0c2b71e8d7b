"""A training run: it takes module, scenes and settings, and writes checkpoints and logs."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.compare import Estimator
from unfolded_ogamp.provenance import provenance
from unfolded_ogamp.settings import Settings, at_least, positive, require, within
from unfolded_ogamp.system import Network
from unfolded_ogamp.training.checkpoint import load_checkpoint
from unfolded_ogamp.training.datamodule import SceneDataModule
from unfolded_ogamp.training.module import UnfoldedModule
from unfolded_ogamp.training.validation import ValidationReport


@dataclass(frozen=True)
class RunSettings(Settings):
    """Settings of a training run.

    Attributes:
        output: folder of the checkpoints and the TensorBoard logs.
        epochs: number of epochs, each ending with a validation and a checkpoint.
        clip: largest norm of a gradient.
        averaging: decay of the moving average of the weights, which is validated and exported.
        accelerator, devices: arguments of the Lightning trainer.
        resume: checkpoint to continue from.
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
        some = self.devices >= 1 or self.devices == -1
        require(some, f"devices must be at least 1, or -1 for all, got {self.devices}")
        found = self.resume is None or Path(self.resume).is_file()
        require(found, f"resume must be a checkpoint file, found none at {self.resume}")


class Origin(lightning.Callback):
    """Write the origin of the network into every checkpoint.

    Args:
        trained_on: scenario or mixture, as plain values.
        seed: seed of the scenes.
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


class StepByStep(lightning.Callback):
    """Call `on_step` after every step."""

    def __init__(self, on_step: Callable[[], None]) -> None:
        self.on_step = on_step

    def on_train_batch_end(self, *_: Any) -> None:
        self.on_step()


def fit(
    module: UnfoldedModule,
    data: SceneDataModule,
    classic: Estimator,
    settings: RunSettings,
) -> Path:
    """Train, and return the path of the last checkpoint.

    Args:
        module: module to train.
        data: scenes for training and validation.
        classic: estimator for comparison in validations.
        settings: settings of the run.

    Raises:
        FileExistsError: if the folder holds checkpoints of another run.
        InputError: if the run cannot be resumed, the devices do not exist, or the folder cannot be written.
    """
    output = Path(settings.output)
    if settings.resume is None and any((output / "checkpoints").glob("*.ckpt")):
        raise FileExistsError(
            f"run.output: expected a folder without checkpoints, or run.resume, found those of a run in {output}"
        )
    # after the epoch is counted; a checkpoint at the end of its validation would repeat the epoch on resuming
    checkpoints = ModelCheckpoint(
        output / "checkpoints",
        filename="epoch_{epoch:03d}",
        auto_insert_metric_name=False,  # the command line does not accept an equals sign in a value
        save_last=True,
        save_top_k=-1,
        save_on_train_epoch_end=True,
    )
    if settings.resume is not None:
        _expect_same_network(Path(settings.resume), module)
    with _only_warnings():
        trainer = _trainer(
            settings,
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
        _make_folder(output)
        _fit(trainer, module, data, settings.resume)
    return Path(checkpoints.last_model_path)


def fit_quietly(
    module: UnfoldedModule, data: SceneDataModule, settings: RunSettings, on_step: Callable[[], None]
) -> Network:
    """Train as `fit` does, without validation, checkpoints and output; return the network with averaged weights.

    Args:
        module: module to train.
        data: scenes for training.
        settings: settings of the run; `output` and `resume` are not used.
        on_step: function called after every step.
    """
    with _only_warnings():
        trainer = _trainer(
            settings,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            callbacks=[EMAWeightAveraging(decay=settings.averaging, use_buffers=False), StepByStep(on_step)],
        )
        _fit(trainer, module, data, None)
    return module.network.eval().requires_grad_(False)


@contextmanager
def _only_warnings() -> Iterator[None]:
    """Hide messages of Lightning below the level ERROR, such as device lists, and its use of an old name of PyTorch."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated")
            yield
    finally:
        logger.setLevel(level)


def _trainer(settings: RunSettings, **differences: Any) -> lightning.Trainer:
    """A trainer with the settings that all runs share.

    Raises:
        InputError: if the accelerator or the devices do not exist.
    """
    try:
        return lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator=settings.accelerator,
            devices=settings.devices,
            gradient_clip_val=settings.clip,
            use_distributed_sampler=False,
            enable_model_summary=False,
            **differences,
        )
    except (ValueError, MisconfigurationException) as error:
        raise InputError(f"run: expected an existing accelerator and devices, found {error}") from error


def _make_folder(output: Path) -> None:
    """Create the folder of a run before it starts.

    Raises:
        InputError: if it cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise InputError(f"run.output: expected a folder that can be written, found {found}: {output}") from error


def _fit(trainer: lightning.Trainer, module: UnfoldedModule, data: SceneDataModule, resume: str | None) -> None:
    """Train; turn the SystemExit that Lightning raises on Ctrl-C back into KeyboardInterrupt."""
    try:
        trainer.fit(module, datamodule=data, ckpt_path=resume)
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


def _expect_same_network(checkpoint: Path, module: UnfoldedModule) -> None:
    """Raise InputError if the checkpoint belongs to a network with other settings."""
    network, _ = load_checkpoint(checkpoint)
    if (network.system, network.settings) != (module.network.system, module.network.settings):
        raise InputError(f"run.resume: expected a checkpoint of the same network, found one of another: {checkpoint}")
