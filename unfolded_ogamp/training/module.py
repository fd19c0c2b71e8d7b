"""The Lightning module: network, loss and optimiser of a training run."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from unfolded_ogamp.records import first_tensor
from unfolded_ogamp.scenes import Batch
from unfolded_ogamp.settings import Settings, at_least, positive, within
from unfolded_ogamp.system import System
from unfolded_ogamp.training.datamodule import SceneDataModule


@dataclass(frozen=True)
class OptimiserSettings(Settings):
    """Adam with a warm-up and a cosine decay.

    Attributes:
        learning_rate: largest learning rate.
        warm_up: number of steps until it is reached.
        final: last learning rate of the run, as a share of the largest one.
    """

    learning_rate: Annotated[float, positive] = 0.002
    warm_up: Annotated[int, at_least(0)] = 20
    final: Annotated[float, within("(0, 1]")] = 0.02

    def factor(self, step: int, steps: int) -> float:
        """Learning rate at a step of a run of `steps` steps, as a share of the largest one."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        progress = min(1.0, (step - self.warm_up) / max(1, steps - self.warm_up))
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


class UnfoldedModule(lightning.LightningModule):
    """Train a network of a system; hyperparameters are plain values, so that checkpoints load with `weights_only`.

    Args:
        system: system of the network.
        network, loss: settings of network and loss, of the classes that the system names.
        optimiser: settings of the optimiser.
        seed: seed of the initial weights.
    """

    def __init__(self, system: System, network: Any, loss: Any, optimiser: OptimiserSettings, seed: int) -> None:
        super().__init__()
        learning = system.the_learning()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = learning.network(network)
        plain = {"network": asdict(network), "loss": asdict(loss), "optimiser": asdict(optimiser)}
        self.save_hyperparameters({"system": system.name, **plain})
        self.system, self.loss, self.optimiser = system, loss, optimiser

    def losses(self, batch: Batch, batch_idx: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch and its parts."""
        return self.system.the_learning().loss(self.network, *batch, self.loss, batch_idx)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, parts = self.losses(batch, batch_idx)
        size = len(first_tensor(batch[0]))
        self.log("train/loss", loss, prog_bar=True, batch_size=size)
        self.log_dict({f"train/{name}": value for name, value in parts.items()}, batch_size=size)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        del batch_idx
        return {"estimate": self.network(*self.system.scoring.inputs(*batch))}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Skip a step with a non-finite gradient: without a gradient Adam changes neither weights nor moments."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        if not all(torch.isfinite(gradient).all() for gradient in gradients):
            optimizer.zero_grad(set_to_none=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.optimiser.learning_rate, betas=(0.9, 0.99))
        factor = partial(self.optimiser.factor, steps=self._steps())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _steps(self) -> int:
        """Optimiser steps of the whole run; Lightning's own count would open the data before it resumes a run."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, SceneDataModule)
        return (self.trainer.max_epochs or 1) * data.settings.batches_per_epoch // self.trainer.world_size
