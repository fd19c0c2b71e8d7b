"""The script that writes CSI files, as a user runs it."""

from __future__ import annotations

import subprocess
import sys

import torch
from places import SCRIPTS

from unfolded_ogamp.commands.simulate import simulate
from unfolded_ogamp.imaging.files.csi import load_csi
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.system import SYSTEM
from unfolded_ogamp.scenes import SceneDataset

SCRIPT = SCRIPTS / "simulate.py"


def test_script_writes_scenes_and_nothing_else(tmp_path):
    arguments = ["scenario=toy", "n_scenes=2", "seed=4", "output=scenes"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    names = ["scenes/scene_0000.npz", "scenes/scene_0001.npz"]
    assert done.stdout.split() == names
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == names
    toy = Scenario(name="toy", n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.05)
    dataset = SceneDataset(toy, 1, seed=4, split="test", dtype=torch.float64)
    for index, name in enumerate(names):
        scene, csi = dataset[0, index]
        loaded = load_csi(tmp_path / name)
        assert torch.equal(loaded.csi.value, csi.value)
        assert torch.equal(loaded.truth.position, scene.position)


def test_more_scenes_do_not_change_the_first(tmp_path):
    few = list(simulate(SYSTEM.the_files(), Scenario(n_tx=2, n_rx=2), 1, 0, tmp_path / "few"))
    many = list(simulate(SYSTEM.the_files(), Scenario(n_tx=2, n_rx=2), 3, 0, tmp_path / "many"))
    assert torch.equal(load_csi(few[0]).csi.value, load_csi(many[0]).csi.value)
    assert not torch.equal(load_csi(many[0]).csi.value, load_csi(many[1]).csi.value)
