"""Synthetic scenes, drawn as training goes: nothing is stored, and every batch is a function of counters alone."""

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
    """How scenes are batched.

    Attributes:
        seed: of all splits, which never meet, and of the initial weights.
        batch_size: scenes in a batch.
        batches_per_epoch: training batches between two validations, on all ranks together.
        validation_batches: validation batches, the same ones every time, on all ranks together.
        workers: processes that draw scenes; does not change the scenes.
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
        """Batches that differ from epoch to epoch."""
        rank, world_size = self._place()
        counters = CounterSampler(self.settings.batches_per_epoch, rank=rank, world_size=world_size)
        # workers fetch ahead as soon as the loader is opened, which in a resumed run is before Lightning counts the
        # epoch it was interrupted after; the number of steps, one per batch, is right already
        counters.set_epoch(0 if self.trainer is None else self.trainer.global_step // len(counters))
        return self._loader(self.training, "train", counters)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The same batches at every validation: a list of counters has no epoch to follow."""
        rank, world_size = self._place()
        counters = CounterSampler(self.settings.validation_batches, rank=rank, world_size=world_size)
        return self._loader(self.validation, "validation", list(counters))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Records know how to move themselves; Lightning does not know records."""
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
