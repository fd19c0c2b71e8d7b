"""Batches are a function of (seed, split, epoch, batch) alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from unfolded_ogamp.imaging.scenes.mixture import Component, Mixture
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi, Scene
from unfolded_ogamp.records import Record
from unfolded_ogamp.scenes import SPLITS, CounterSampler, SceneDataset, counter_seed

SMALL = Scenario(n_tx=5, n_rx=4, pixels=(6, 6), missing_links=0.4, los=True, phase_model="blocked")
BAND = Scenario(n_tx=3, n_rx=4, pixels=(6, 6), phase_model="clocks", los=True, blocked_los=0.3, bandwidth=12e6)
MIXTURE = Mixture([Component(SMALL, ranges={"nodes": (5, 9), "snr_db": (0.0, 30.0)}), Component(Scenario(n_tx=3))])


def tensors(record: Record) -> list[Tensor]:
    found: list[Tensor] = []
    record.map(lambda tensor: found.append(tensor) or tensor)
    return found


def equal(first: tuple[Scene, Csi], second: tuple[Scene, Csi]) -> bool:
    pairs = zip(tensors(first[0]) + tensors(first[1]), tensors(second[0]) + tensors(second[1]), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def dataset(seed: int = 0, split: str = "train", source: Scenario | Mixture = MIXTURE) -> SceneDataset:
    return SceneDataset(source, batch_size=3, seed=seed, split=split)


def epoch_of(
    source: Scenario | Mixture, workers: int, rank: int = 0, world_size: int = 1
) -> Iterator[tuple[Scene, Csi]]:
    """The batches of epoch 2."""
    sampler = CounterSampler(4, rank, world_size)
    sampler.set_epoch(2)
    return iter(DataLoader(dataset(source=source), sampler=sampler, batch_size=None, num_workers=workers))


@pytest.mark.parametrize("source", [MIXTURE, BAND], ids=["mixture", "coarsely synchronised"])
def test_workers_ranks_and_order_change_no_bit(source):
    reference = list(epoch_of(source, workers=0))
    workers = list(epoch_of(source, workers=2))
    ranks = [list(epoch_of(source, workers=0, rank=rank, world_size=2)) for rank in (0, 1)]
    interleaved = [ranks[batch % 2][batch // 2] for batch in range(4)]
    alone = [dataset(source=source)[2, batch] for batch in (3, 2, 1, 0)][::-1]
    for other in (workers, interleaved, alone):
        assert len(other) == len(reference)
        assert all(equal(one, two) for one, two in zip(reference, other, strict=True))
    assert isinstance(workers[0][0], Scene)
    assert isinstance(workers[0][1], Csi)


def test_every_counter_matters():
    source = Scenario(n_tx=2, n_rx=3)  # of one size, so that only the draws of the batches differ
    items = [
        dataset(source=source)[0, 0],
        dataset(source=source)[0, 1],
        dataset(source=source)[1, 0],
        dataset(seed=1, source=source)[0, 0],
        dataset(split="validation", source=source)[0, 0],
        dataset(split="test", source=source)[0, 0],
    ]
    for index, item in enumerate(items):
        assert not any(torch.equal(item[0].position, other[0].position) for other in items[:index])
        assert len(torch.unique(item[0].position[:, 0, 0])) == 3  # the scenes of a batch differ, too


def test_seeds_of_splits_never_collide():
    """Also not in the lower 32 bits, which are all that PyTorch's CPU generator uses."""
    same = [torch.rand(4, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5 + 2**32)]
    assert torch.equal(*same)
    quarters = []
    for split in SPLITS:
        seeds = [counter_seed(seed, split, epoch, 7) for seed in range(20) for epoch in range(20)]
        assert len({seed % 2**32 for seed in seeds}) == 400
        quarters.append({seed % 2**32 // 2**30 for seed in seeds})
    assert quarters == [{0}, {1}, {2}]


def test_number_of_threads_changes_no_bit():
    wide = SceneDataset(Scenario(n_tx=300, n_rx=300, sparsity=0.005), 1, seed=0, split="test", dtype=torch.float64)
    before = torch.get_num_threads()
    try:
        items = []
        for threads in (1, 4):
            torch.set_num_threads(threads)
            items.append(wide[0, 0])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert equal(*items)


def test_precision_is_the_asked_one():
    scene, csi = SceneDataset(SMALL, 2, seed=0, split="test")[0, 0]
    exact, _ = SceneDataset(SMALL, 2, seed=0, split="test", dtype=torch.float64)[0, 0]
    assert (scene.position.dtype, csi.value.dtype, csi.link.dtype) == (torch.float32, torch.complex64, torch.bool)
    assert exact.position.dtype == torch.float64
    assert torch.equal(exact.position.float(), scene.position)


def test_sampler_serves_each_batch_to_one_rank():
    indices = [list(CounterSampler(6, rank, 3)) for rank in range(3)]
    assert indices == [[(0, 0), (0, 3)], [(0, 1), (0, 4)], [(0, 2), (0, 5)]]
    assert len(CounterSampler(6, 1, 3)) == 2


def test_list_of_indices_is_a_fixed_set():
    loader = DataLoader(dataset(split="validation"), sampler=list(CounterSampler(2)), batch_size=None)
    first, second = list(loader), list(loader)
    assert not hasattr(loader.sampler, "set_epoch")
    assert all(equal(one, two) for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: dataset(split="training"), "split must be one of train, validation, test, got 'training'"),
        (lambda: dataset(seed=-1), "seed must be at least 0"),
        (lambda: SceneDataset(SMALL, 0, seed=0, split="train"), "batch_size must be at least 1"),
        (lambda: CounterSampler(5, 0, 2), "batches_per_epoch must be a positive multiple of world_size = 2, got 5"),
        (lambda: CounterSampler(0), "batches_per_epoch must be a positive multiple"),
        (lambda: CounterSampler(4, 2, 2), "rank must lie in 0 ... world_size - 1 = 1, got 2"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()
