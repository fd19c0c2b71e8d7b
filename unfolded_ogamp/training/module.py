"""The Lightning module: which batch goes through which network, and what is minimised."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.greedy import restarts
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.network.loss import (
    LossSettings,
    block_errors,
    competition_loss,
    refinement_loss,
    saturated,
    total_loss,
)
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.settings import Settings, at_least, positive, within
from unfolded_ogamp.training.datamodule import Batch, SceneDataModule


@dataclass(frozen=True)
class OptimiserSettings(Settings):
    """Adam with a warm-up and a cosine decay.

    Attributes:
        learning_rate: largest learning rate.
        warm_up: steps until it is reached.
        final: share of the learning rate that is left at the end of the run.
    """

    learning_rate: Annotated[float, positive] = 0.02
    warm_up: Annotated[int, at_least(0)] = 20
    final: Annotated[float, within("(0, 1]")] = 0.02

    def factor(self, step: int, steps: int) -> float:
        """Share of the learning rate at a step of a run of `steps` steps."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        progress = min(1.0, (step - self.warm_up) / max(1, steps - self.warm_up))
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


class UnfoldedModule(lightning.LightningModule):
    """Trains an `UnfoldedOGAMP`; hyperparameters are a plain dict, so that checkpoints load with `weights_only`."""

    def __init__(self, network: NetworkSettings, loss: LossSettings, optimiser: OptimiserSettings) -> None:
        super().__init__()
        self.save_hyperparameters({"network": asdict(network), "loss": asdict(loss), "optimiser": asdict(optimiser)})
        self.network = UnfoldedOGAMP(network)
        self.loss, self.optimiser = loss, optimiser

    def forward(self, batch: Batch) -> Estimate:
        """Estimate of the scenes of a batch."""
        scene, csi = batch
        return self.network(csi, scene.array, scene.grid)

    def losses(self, batch: Batch, focused: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, averaged over the scenes of a batch, and its parts at the end of one start.

        Args:
            batch: scenes and CSI.
            focused: start from phases in focus and go through all blocks, as the second start of a scene does; else
                from those that are given, to the first exit.
        """
        scene, csi = batch
        posed = self.network.pose(csi, scene.array, scene.grid)
        problem, search_grid, phases = posed.problem, posed.search_grid, posed.phases
        if focused:
            phases = restarts.focused_phases(problem, phases, self.network.settings.greedy.restarts)
        states = list(self.network.states(problem, search_grid, phases))
        blocks = [block_errors(state, scene, self.loss) for state in states]
        last = states[-1] if focused else states[self.network.settings.first_exit - 1]
        refined = self.network.refinement(last, problem, search_grid).model
        refinement = refinement_loss(refined, scene, self.loss)
        log_odds = self.network.log_odds(refined, problem)
        competition = competition_loss(log_odds, refined, scene, self.loss)
        # of a start that ended in a trap nothing can be told; it is started anew
        margin = self.network.settings.greedy.restarts.margin
        competition = competition * model_selection.consistent(refined, problem, margin)
        loss = total_loss(blocks, self.loss)
        loss = loss + self.loss.refinement * refinement + self.loss.competition * competition
        parts = {"refinement": refinement, "competition": competition}
        parts |= {name: getattr(blocks[-1], name) for name in ("phase", "position", "detection")}
        return saturated(loss, self.loss).mean(), {name: value.detach().nanmean() for name, value in parts.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, parts = self.losses(batch, focused=batch_idx % 2 == 1)
        self.log("train/loss", loss, prog_bar=True, batch_size=batch[0].position.shape[0])
        self.log_dict({f"train/{name}": value for name, value in parts.items()}, batch_size=batch[0].position.shape[0])
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Estimate]:
        del batch_idx
        return {"estimate": self(batch)}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Skip a step whose gradient is not finite: with no gradient Adam leaves weights and moments alone."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        if not all(torch.isfinite(gradient).all() for gradient in gradients):
            optimizer.zero_grad(set_to_none=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.optimiser.learning_rate, betas=(0.9, 0.99))
        factor = partial(self.optimiser.factor, steps=self._steps())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _steps(self) -> int:
        """Optimiser steps of the whole run; Lightning's own count would open the data before a run is resumed."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, SceneDataModule)
        return (self.trainer.max_epochs or 1) * data.settings.batches_per_epoch // self.trainer.world_size
