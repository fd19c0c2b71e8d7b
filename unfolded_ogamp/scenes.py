"""Batches of scenes as a function of counters alone: draws do not depend on workers, ranks or interruptions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from unfolded_ogamp.records import Record, concatenate, sizes

SPLITS = ("train", "validation", "test")
Batch = tuple[Record, Record]  # scenes, and one measurement of each
SceneType = TypeVar("SceneType", bound=Record, covariant=True)
MeasurementType = TypeVar("MeasurementType", bound=Record, covariant=True)


class Source(Protocol[SceneType, MeasurementType]):
    """A distribution of scenes, drawn in float64: a scenario of a system, or a mixture of scenarios."""

    def draw(self, batch: int, generator: torch.Generator) -> tuple[SceneType, MeasurementType]: ...


class SceneDataset(Dataset[tuple[SceneType, MeasurementType]]):
    """Item (epoch, batch) is a whole batch of scenes and one measurement of each, a function of
    (seed, split, epoch, batch) alone. Use it with `DataLoader(dataset, sampler=CounterSampler(...), batch_size=None)`.

    Args:
        source: a scenario, or a mixture of which one scenario is drawn per batch.
        batch_size: scenes in a batch B.
        seed: seed of the user, at least 0.
        split: "train", "validation" or "test"; no two of them ever share a generator seed.
        dtype: precision of the returned records; they are drawn in float64.
    """

    def __init__(
        self,
        source: Source[SceneType, MeasurementType],
        batch_size: int,
        seed: int,
        split: str,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
        self.source = source
        self.batch_size = batch_size
        self.seed = seed
        self.split = split
        self.dtype = dtype

    def __getitem__(self, index: tuple[int, int]) -> tuple[SceneType, MeasurementType]:
        epoch, batch = index
        generator = torch.Generator().manual_seed(counter_seed(self.seed, self.split, epoch, batch))
        with _one_thread():
            scene, measurement = self.source.draw(self.batch_size, generator)
        return scene.to(self.dtype), measurement.to(self.dtype)


class CounterSampler(Sampler[tuple[int, int]]):
    """The (epoch, batch) pairs of one rank: batches rank, rank + world_size, ... of the current epoch.

    The batches of an epoch do not depend on `world_size`. It must divide their number, as all ranks take equally many
    steps. `set_epoch` (called by Lightning) selects new scenes; for a fixed set give `list(CounterSampler(...))` to the
    DataLoader instead.

    Args:
        batches_per_epoch: number of batches over all ranks.
        rank: 0 ... world_size - 1.
        world_size: number of ranks.
    """

    def __init__(self, batches_per_epoch: int, rank: int = 0, world_size: int = 1) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must lie in 0 ... world_size - 1 = {world_size - 1}, got {rank}")
        if batches_per_epoch < 1 or batches_per_epoch % world_size:
            raise ValueError(
                f"batches_per_epoch must be a positive multiple of world_size = {world_size}, got {batches_per_epoch}"
            )
        self.batches_per_epoch = batches_per_epoch
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for batch in range(self.rank, self.batches_per_epoch, self.world_size):
            yield self.epoch, batch

    def __len__(self) -> int:
        return self.batches_per_epoch // self.world_size


def counter_seed(seed: int, split: str, epoch: int, batch: int) -> int:
    """Seed of the generator of one batch, 64 bit.

    PyTorch's CPU generator takes the lower 32 bits only, in which two different inputs can collide. Bits 30 and 31 hold
    the split, so that seeds of different splits never collide.
    """
    number = SPLITS.index(split)
    hashed = int(np.random.SeedSequence([seed, number, epoch, batch]).generate_state(1, np.uint64)[0])
    return hashed & ~(0b11 << 30) | number << 30


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, as in a DataLoader worker: the number of threads changes the order of sums and so their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def evaluation_scenes(
    source: Source[SceneType, MeasurementType],
    n_scenes: int,
    batch_size: int,
    seed: int,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[SceneType, MeasurementType]]:
    """The first `n_scenes` scenes of the test split, in batches of which the last may be smaller.

    Each scene is drawn separately, so that it depends neither on the batch size nor on the number of scenes; `simulate`
    writes the same scenes. A batch of a mixture ends where the next scene has another size.
    """
    dataset = SceneDataset(source, batch_size=1, seed=seed, split="test", dtype=dtype)
    for first in range(0, n_scenes, batch_size):
        drawn = [dataset[0, index] for index in range(first, min(first + batch_size, n_scenes))]
        for _, same in itertools.groupby(drawn, lambda pair: (sizes(pair[0]), sizes(pair[1]))):
            scenes, measurements = zip(*same, strict=True)
            yield concatenate(scenes), concatenate(measurements)
