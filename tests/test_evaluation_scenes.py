"""The scenes of an evaluation do not depend on the batch size."""

from __future__ import annotations

import itertools

import torch

from unfolded_ogamp.commands.simulate import simulate
from unfolded_ogamp.imaging.files.csi import load_csi
from unfolded_ogamp.imaging.scenes.mixture import Component, Mixture
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.system import SYSTEM
from unfolded_ogamp.records import concatenate
from unfolded_ogamp.scenes import evaluation_scenes

SCENARIO = Scenario(n_tx=4, n_rx=3, pixels=(5, 5), missing_links=0.2)


def test_batches_hold_the_same_scenes_whatever_their_size():
    batches = list(evaluation_scenes(SCENARIO, 5, 2, seed=3, dtype=torch.float64))
    assert [len(csi.value) for _, csi in batches] == [2, 2, 1]
    ((scene, csi),) = evaluation_scenes(SCENARIO, 5, 8, seed=3, dtype=torch.float64)
    assert torch.equal(concatenate([csi for _, csi in batches]).value, csi.value)
    together = concatenate([scene for scene, _ in batches])
    assert torch.equal(together.array.tx, scene.array.tx)
    assert torch.equal(together.link, scene.link)
    assert len(scene.array.tx.unique(dim=0)) == 5
    other = next(evaluation_scenes(SCENARIO, 5, 8, seed=4, dtype=torch.float64))
    assert not torch.equal(other[1].value, csi.value)


def test_they_are_the_scenes_of_the_test_split_that_are_written_to_files(tmp_path):
    ((_, csi),) = evaluation_scenes(SCENARIO, 3, 4, seed=3, dtype=torch.float64)
    files = [load_csi(path) for path in simulate(SYSTEM.the_files(), SCENARIO, 3, 3, tmp_path)]
    for index, file in enumerate(files):
        assert torch.equal(file.csi.value[0], csi.value[index])


def test_batches_of_a_mixture_end_where_the_size_changes():
    mixture = Mixture([Component(SCENARIO, ranges={"n_tx": (4, 5)})])
    alone = [csi.value for _, csi in evaluation_scenes(mixture, 9, 1, seed=3)]
    batches = [csi.value for _, csi in evaluation_scenes(mixture, 9, 9, seed=3)]
    split = [value for batch in batches for value in batch.split(1)]
    assert all(torch.equal(one, other) for one, other in zip(split, alone, strict=True))
    lengths = [len(list(same)) for _, same in itertools.groupby(value.shape for value in alone)]
    assert [len(batch) for batch in batches] == lengths
    assert 1 < len(lengths) < 9


def test_precision_is_single_unless_asked_for():
    scene, csi = next(evaluation_scenes(SCENARIO, 1, 1, seed=3))
    assert (csi.value.dtype, scene.position.dtype) == (torch.complex64, torch.float32)
