"""Simulated scenes, drawn during training: nothing is stored, and every batch is a function of counters alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import lightning
import torch
from torch.utils.data import DataLoader

from unfolded_ogamp.scenes import Batch, CounterSampler, SceneDataset, Source
from unfolded_ogamp.settings import Settings, at_least


@dataclass(frozen=True)
class DataSettings(Settings):
    """Batches of scenes.

    Attributes:
        seed: seed of all splits, which share no scenes, and of the initial weights.
        batch_size: scenes in a batch.
        batches_per_epoch: training batches between two validations, on all ranks together.
        validation_batches: validation batches, the same in every validation, on all ranks together.
        workers: number of processes that draw scenes; scenes do not depend on it.
    """

    seed: Annotated[int, at_least(0)] = 0
    batch_size: Annotated[int, at_least(1)] = 4
    batches_per_epoch: Annotated[int, at_least(1)] = 60
    validation_batches: Annotated[int, at_least(1)] = 4
    workers: Annotated[int, at_least(0)] = 0


class SceneDataModule(lightning.LightningDataModule):
    """Training scenes from one source and validation scenes from another."""

    def __init__(self, training: Source[Any, Any], validation: Source[Any, Any], settings: DataSettings) -> None:
        super().__init__()
        self.training, self.validation, self.settings = training, validation, settings

    def train_dataloader(self) -> DataLoader[Batch]:
        """Training batches, different in every epoch."""
        rank, world_size = self._place()
        counters = CounterSampler(self.settings.batches_per_epoch, rank=rank, world_size=world_size)
        # workers draw ahead when the loader opens; in a resumed run, Lightning has not yet counted the last epoch then,
        # but the number of steps, one per batch, is already correct
        counters.set_epoch(0 if self.trainer is None else self.trainer.global_step // len(counters))
        return self._loader(self.training, "train", counters)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The same batches in every validation: a list of counters does not depend on the epoch."""
        rank, world_size = self._place()
        counters = CounterSampler(self.settings.validation_batches, rank=rank, world_size=world_size)
        return self._loader(self.validation, "validation", list(counters))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the records, which Lightning does not know."""
        del dataloader_idx
        scene, measurement = batch
        return scene.to(device=device), measurement.to(device=device)

    def _loader(
        self, source: Source[Any, Any], split: str, sampler: CounterSampler | list[tuple[int, int]]
    ) -> DataLoader[Batch]:
        dataset = SceneDataset(source, self.settings.batch_size, self.settings.seed, split)
        return DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=self.settings.workers)

    def _place(self) -> tuple[int, int]:
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
