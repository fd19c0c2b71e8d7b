"""Validation during training: metrics of the network and the classic estimator on the same scenes, and pictures."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from unfolded_ogamp.evaluation.compare import Estimator
from unfolded_ogamp.evaluation.figures import parameter_figure
from unfolded_ogamp.records import first_tensor
from unfolded_ogamp.scenes import Batch
from unfolded_ogamp.system import Network, System


class ValidationReport(lightning.Callback):
    """Log validation metrics of network and classic estimator, the learned curves, and a picture of one scene.

    Args:
        system: system of the network.
        classic: estimator for comparison; it runs once per validation scene, and its results are kept.
    """

    def __init__(self, system: System, classic: Estimator) -> None:
        self.system, self.classic = system, classic
        self.remembered: dict[int, tuple[Any, list[Any], list[Any]]] = {}

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log the metrics of a batch, and after the first batch the pictures."""
        del dataloader_idx
        scene, scoring = batch[0], self.system.scoring
        scenes = range(len(first_tensor(scene)))
        if batch_idx not in self.remembered:
            estimate = self.classic(*scoring.inputs(*batch))
            bounds = [scoring.bound(scene, index) for index in scenes]
            known = [scoring.score(scene, estimate, index, bounds[index]) for index in scenes]
            self.remembered[batch_idx] = estimate, bounds, known
        classic, bounds, known = self.remembered[batch_idx]
        learned = [scoring.score(scene, outputs["estimate"], index, bounds[index]) for index in scenes]
        watched = self.system.the_learning().watched
        for name in watched:
            for who, metrics in (("network", learned), ("classic", known)):
                values = torch.tensor([float(getattr(m, name)) for m in metrics])
                pl_module.log(
                    f"{name}/{who}",
                    values.nanmean(),  # an efficiency is nan without matched scatterers
                    prog_bar=name in watched[:2],
                    batch_size=len(scenes),
                    sync_dist=True,
                )
        if batch_idx == 0 and isinstance(trainer.logger, TensorBoardLogger):
            assert isinstance(pl_module.network, Network)
            estimates = {"classic": classic, "network": outputs["estimate"]}
            self._draw(trainer.logger, trainer.global_step, scene, estimates, pl_module.network)

    def _draw(
        self, logger: TensorBoardLogger, step: int, scene: Any, estimates: dict[str, Any], network: Network
    ) -> None:
        learning = self.system.the_learning()
        if learning.picture is not None:
            logger.experiment.add_figure("validation scene", learning.picture(scene, estimates, 0), step)
        start = learning.network(network.settings).curves()
        curves = {name: values.tolist() for name, values in network.curves().items()}
        figure = parameter_figure(curves, {name: values.tolist() for name, values in start.items()})
        logger.experiment.add_figure("learned parameters", figure, step)
        for name, values in curves.items():
            for layer, value in enumerate(values):
                logger.experiment.add_scalar(f"learned {name}/{layer:02d}", value, step)
