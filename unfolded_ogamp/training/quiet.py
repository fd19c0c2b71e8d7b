"""A training run as a part of something else: it validates, writes and shows nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning
from lightning.pytorch.callbacks import EMAWeightAveraging

from unfolded_ogamp.system import Network
from unfolded_ogamp.training.datamodule import SceneDataModule
from unfolded_ogamp.training.module import UnfoldedModule
from unfolded_ogamp.training.run import RunSettings


class StepByStep(lightning.Callback):
    """Tells of every step that is done."""

    def __init__(self, on_step: Callable[[], None]) -> None:
        self.on_step = on_step

    def on_train_batch_end(self, *_: Any) -> None:
        self.on_step()


def fit_quietly(
    module: UnfoldedModule, data: SceneDataModule, settings: RunSettings, on_step: Callable[[], None]
) -> Network:
    """The network of a module after the steps that `fit` takes, with its averaged weights, ready to estimate.

    Args:
        module: what is trained.
        data: scenes to train on; those to validate on are not drawn.
        settings: how the run is carried out, but that nothing is resumed and the folder stays as it is.
        on_step: called after every step.
    """
    with _only_warnings():
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator=settings.accelerator,
            devices=settings.devices,
            gradient_clip_val=settings.clip,
            use_distributed_sampler=False,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[EMAWeightAveraging(decay=settings.averaging, use_buffers=False), StepByStep(on_step)],
        )
        trainer.fit(module, datamodule=data)
    return module.network.eval().requires_grad_(False)


@contextmanager
def _only_warnings() -> Iterator[None]:
    """Lightning says what it found and why it stopped, once per run."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
