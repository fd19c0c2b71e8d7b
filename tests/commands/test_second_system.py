"""A second system works with every generic command through its contract alone."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_system
from run_script import run_script
from toy_system import SYSTEM, Scenario, ToyNetwork, ToySettings, bound, gauss_newton

from unfolded_ogamp import load_pretrained
from unfolded_ogamp.pretrained import PretrainedError
from unfolded_ogamp.system import StudyFigure
from unfolded_ogamp.training.checkpoint import load_checkpoint

STEPS = ["data.batch_size=4", "data.batches_per_epoch=3", "data.validation_batches=1", "run.accelerator=cpu"]


@pytest.fixture(autouse=True, scope="module")
def registered():
    """As if it were the folder `toy` of the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "unfolded_ogamp.toy.system", toy_system)
        yield


def run(command: str, *arguments: str) -> None:
    assert run_script(command, "system=toy", *arguments) == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps, from far too short initial steps, and its export."""
    folder = tmp_path_factory.mktemp("toy")
    run("train", *STEPS, "network.layers=2", "optimiser.learning_rate=0.05", "run.epochs=1", f"run.output={folder}")
    run("export", f"checkpoint={folder / 'checkpoints' / 'last.ckpt'}", f"output={folder / 'network'}")
    return folder


def test_estimator_reaches_the_bound_and_the_untrained_network_is_the_estimator():
    scene, phases = Scenario().draw(400, torch.Generator().manual_seed(0))
    estimate = gauss_newton(phases, torch.ones(3))
    error = (estimate.position - scene.position).square().sum(-1)
    least = torch.tensor([bound(scene, index) for index in range(400)]).square()
    assert float(error.mean() / least.mean()) == pytest.approx(1, abs=0.2)
    torch.testing.assert_close(ToyNetwork(ToySettings())(phases).position, estimate.position, rtol=0, atol=1e-12)


def test_evaluate(trained, tmp_path, capfd):
    mine = f"{{name: unfolded, checkpoint: {trained / 'network'}}}"
    run("evaluate", "scenarios=[ring,few]", f"estimators=[gauss_newton,{mine}]", "n_scenes=5", f"output={tmp_path}")
    assert "position error" in capfd.readouterr().out
    with open(tmp_path / "scenes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 5
    assert set(rows[0]) >= {"success", "position_error", "position_efficiency", "time"}
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    found = results["ring"]["gauss_newton"]["metrics"]["position_error"]["mean"]
    mine = [
        float(row["position_error"]) for row in rows if row["scenario"] == "ring" and row["estimator"] == "gauss_newton"
    ]
    assert found == pytest.approx(np.mean(mine))
    assert not (tmp_path / "reliability.png").exists()  # it has no confidence regions


def test_default_estimators_and_figures(tmp_path):
    run("evaluate", "n_scenes=1", f"output={tmp_path}")
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert {scenario: list(found) for scenario, found in results.items()} == {"ring": ["gauss_newton"]}


def test_noise_variance_of_a_system_without_one(tmp_path, capfd):
    arguments = ["system=toy", "noise_variance=unknown", "n_scenes=1", f"output={tmp_path}"]
    assert run_script("evaluate", *arguments) == 2
    expected = "noise_variance: expected known, as measurements of this system have none\n"
    assert capfd.readouterr().err == expected


def test_training_moves_the_learned_steps_and_the_export_is_what_was_trained(trained):
    network, details = load_checkpoint(trained / "checkpoints" / "last.ckpt")
    assert isinstance(network, ToyNetwork)
    assert network.settings == ToySettings(layers=2)
    assert bool((network.step != 1).all())
    assert details.trained_on["name"] == "ring"
    loaded = load_pretrained(trained / "network")
    assert isinstance(loaded, ToyNetwork)
    assert torch.equal(loaded.step, network.step)
    assert json.loads((trained / "network" / "config.json").read_text())["system"] == "toy"
    assert (trained / "network" / "README.md").read_text().startswith("# Toy\n")


def test_a_network_is_of_one_system(trained, capfd):
    with pytest.raises(PretrainedError, match="expected a network of imaging, found one of toy"):
        load_pretrained(trained / "network", "imaging")
    mine = f"estimators=[{{name: unfolded, checkpoint: {trained / 'network'}}}]"
    assert run_script("evaluate", mine, "n_scenes=1") == 2
    assert capfd.readouterr().err.endswith("expected a network of imaging, found one of toy\n")


def test_figures_on_the_card(trained, tmp_path):
    mine = f"{{name: unfolded, checkpoint: {trained / 'network'}}}"
    run("evaluate", f"estimators=[{mine}]", "n_scenes=3", f"output={tmp_path}")
    checkpoint = trained / "checkpoints" / "last.ckpt"
    run("export", f"checkpoint={checkpoint}", f"output={tmp_path / 'net'}", f"results={tmp_path / 'results.json'}")
    assert "| ring | unfolded (network) | 3 | 0.0" in (tmp_path / "net" / "README.md").read_text()


def test_simulate_and_estimate(trained, tmp_path, capfd):
    run("simulate", "n_scenes=2", "scenario=few", "scenario.n_nodes=6", f"output={tmp_path}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene_0000.npz", "scene_0001.npz"]
    phases = SYSTEM.the_files().read(tmp_path / "scene_0001.npz")
    assert phases.node.shape == (1, 6, 2)
    network = f"checkpoint={trained / 'network'}"
    run("estimate", f"input={tmp_path / 'scene_0001.npz'}", network, f"output={tmp_path / 'out'}")
    assert "6 nodes" in capfd.readouterr().out
    with np.load(tmp_path / "out" / "estimate.npz") as archive:
        expected = load_pretrained(trained / "network")(phases).position
        assert np.abs(archive["position"] - expected.numpy()).max() < 1e-12


def test_reproduce(trained, tmp_path):
    run("reproduce", "figure=error", "size=tiny", f"checkpoint={trained / 'network'}", f"output={tmp_path}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["error.csv", "error.md"]
    assert len((tmp_path / "error.csv").read_text().splitlines()) == 1 + 4


def test_a_study_needs_no_network(tmp_path, monkeypatch):
    figure = StudyFigure({"tiny": 4}, lambda size, *_: [{"size": float(size)}], lambda _: "")
    monkeypatch.setattr(toy_system, "SYSTEM", replace(SYSTEM, learning=None, study=lambda: {"size": figure}))
    run("reproduce", "figure=size", "size=tiny", f"output={tmp_path}")
    assert (tmp_path / "size.csv").read_text() == "size\n4.0\n"


ABSENT = {
    "estimate": (["input=x.npz", "estimator=gauss_newton"], "files"),
    "simulate": ([], "files"),
    "train": ([], "network"),
    "reproduce": (["figure=6"], "study"),
}


def test_a_system_without_synchronisation_refuses_it(tmp_path, capfd):
    run("simulate", "n_scenes=1", f"output={tmp_path}")
    arguments = [f"input={tmp_path / 'scene_0000.npz'}", "estimator=gauss_newton", "synchronise=true"]
    assert run_script("estimate", "system=toy", *arguments, f"output={tmp_path / 'out'}") == 2
    assert capfd.readouterr().err == "synchronise: expected false for a system without synchronisation, found true\n"


@pytest.mark.parametrize("command", ABSENT)
def test_a_missing_part_is_one_line(command, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(toy_system, "SYSTEM", replace(SYSTEM, learning=None, files=None, study=None))
    arguments, part = ABSENT[command]
    assert run_script(command, "system=toy", *arguments) == 2
    assert capfd.readouterr().err == f"system: expected one that has a {part}, found toy, which has none yet\n"


def test_no_shipped_network_is_one_line(tmp_path, capfd):
    assert run_script("reproduce", "system=toy", "figure=error", "size=tiny", f"output={tmp_path}") == 2
    assert capfd.readouterr().err.startswith("checkpoint: expected checkpoint=FOLDER, as toy ships no network")
