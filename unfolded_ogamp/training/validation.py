"""Validation while training: the network's metrics next to the classic estimator's on the same scenes, and pictures."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from unfolded_ogamp.bounds.imaging import Bound, joint_bound
from unfolded_ogamp.evaluation.figures import parameter_figure
from unfolded_ogamp.imaging.estimate import Estimate, Estimator
from unfolded_ogamp.imaging.figures.comparison import comparison_figure
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.score import SceneMetrics, scene_metrics
from unfolded_ogamp.training.datamodule import Batch

SHOWN = ("chamfer", "success", "phase_rmse", "position_efficiency", "phase_efficiency")


class ValidationReport(lightning.Callback):
    """Logs the validation metrics of network and classic estimator, the learned curves, and a picture of one scene.

    Args:
        classic: estimator to compare with; it runs once per validation scene, and is remembered.
    """

    def __init__(self, classic: Estimator) -> None:
        self.classic = classic
        self.remembered: dict[int, tuple[Estimate, list[Bound], list[SceneMetrics]]] = {}

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Metrics of one batch, and after the first batch the pictures."""
        del dataloader_idx
        scene, csi = batch
        n_scenes = scene.position.shape[0]
        if batch_idx not in self.remembered:
            classic = self.classic(csi, scene.array, scene.grid)
            bounds = [joint_bound(scene, index) for index in range(n_scenes)]
            known = [scene_metrics(scene, classic, index, bounds[index]) for index in range(n_scenes)]
            self.remembered[batch_idx] = classic, bounds, known
        classic, bounds, known = self.remembered[batch_idx]
        learned = [scene_metrics(scene, outputs["estimate"], index, bounds[index]) for index in range(n_scenes)]
        for name in SHOWN:
            for who, metrics in (("network", learned), ("classic", known)):
                values = torch.tensor([float(getattr(m, name)) for m in metrics])
                pl_module.log(
                    f"{name}/{who}",
                    values.nanmean(),  # an efficiency is nan where nothing is matched
                    prog_bar=name in ("chamfer", "success"),
                    batch_size=n_scenes,
                    sync_dist=True,
                )
        if batch_idx == 0 and isinstance(trainer.logger, TensorBoardLogger):
            self._draw(trainer.logger, trainer.global_step, batch, classic, outputs["estimate"], pl_module)

    def _draw(
        self,
        logger: TensorBoardLogger,
        step: int,
        batch: Batch,
        classic: Estimate,
        learned: Estimate,
        module: lightning.LightningModule,
    ) -> None:
        network = module.network
        assert isinstance(network, UnfoldedOGAMP)
        picture = comparison_figure(batch[0], {"classic": classic, "network": learned}, 0)
        logger.experiment.add_figure("validation scene", picture, step)
        start = UnfoldedOGAMP(network.settings).curves()
        curves = {name: values.tolist() for name, values in network.curves().items()}
        figure = parameter_figure(curves, {name: values.tolist() for name, values in start.items()})
        logger.experiment.add_figure("learned parameters", figure, step)
        for name, values in curves.items():
            for layer, value in enumerate(values):
                logger.experiment.add_scalar(f"learned {name}/{layer:02d}", value, step)
