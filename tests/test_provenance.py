"""Results contain their origin, and the same command gives the same network."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path

import numpy as np
import pytest
import torch
from run_script import run_script
from small_network import export_small_network

from unfolded_ogamp import __version__, load_pretrained
from unfolded_ogamp.pretrained import SHIPPED, load_details
from unfolded_ogamp.provenance import hashes, provenance

RUN = (
    *("experiment=smoke", "network.blocks=2", "data.batches_per_epoch=2", "data.validation_batches=1"),
    *(
        "run.epochs=1",
        "validation.n_tx=10",
        "validation.n_rx=10",
        "validation.pixels=[6,6]",
        "mixture=toy",
        "run.accelerator=cpu",
    ),
)


def hash_of(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def trained(folder: Path, *arguments: str) -> Path:
    """Folder of the network that a command trains and another one exports."""
    assert run_script("train", *RUN, f"run.output={folder}", *arguments) == 0
    checkpoint, output = folder / "checkpoints" / "last.ckpt", folder / "network"
    assert run_script("export", f"checkpoint={checkpoint}", f"output={output}") == 0
    return output


def test_the_same_command_trains_the_same_network_whatever_was_drawn_before(tmp_path):
    one = trained(tmp_path / "one")
    torch.rand(7)
    other, another = trained(tmp_path / "other"), trained(tmp_path / "another", "data.seed=1")
    assert hash_of(one) == hash_of(other) != hash_of(another)
    details = load_details(one)
    assert details.provenance == provenance()
    assert (details.seed, load_details(another).seed) == (0, 1)


def test_hash_is_that_of_the_file():
    assert hashes({"shipped": load_pretrained(), "classic": object()}) == {"shipped": hash_of(SHIPPED)}


def test_versions_are_those_that_run():
    found = provenance()
    assert (found["python"], found["torch"]) == (platform.python_version(), torch.__version__)
    assert (found["numpy"], found["unfolded_ogamp"]) == (np.__version__, __version__)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return export_small_network(tmp_path / "network")


def test_results_name_the_weights(network, tmp_path):
    entry = f"{{name: unfolded, checkpoint: {network}}}"
    arguments = ("scenarios=[toy]", "n_scenes=1", "batch_size=1", f"output={tmp_path}")
    assert run_script("evaluate", f"estimators=[{entry},gamp]", *arguments) == 0
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["weights_sha256"] == {"unfolded (network)": hash_of(network)}
    assert (document["provenance"], document["settings"]["seed"]) == (provenance(), 0)


@pytest.mark.parametrize("steps", [0, 1])
def test_estimate_names_the_weights_before_they_are_adapted(steps, network, tmp_path):
    assert run_script("simulate", "scenario=toy", "n_scenes=1", f"output={tmp_path}") == 0
    scene = tmp_path / "scene_0000.npz"
    assert (
        run_script("estimate", f"input={scene}", f"output={tmp_path}", f"checkpoint={network}", f"adapt={steps}") == 0
    )
    with np.load(tmp_path / "estimate.npz") as archive:
        texts = {key: str(archive[key]) for key in archive.files if archive[key].dtype.kind == "U"}
    texts.pop("diagnosis")  # of the CSI, not of the origin
    settings = json.loads(texts.pop("settings"))
    assert settings["greedy"]["restarts"]["seed"] == 0
    assert {key: texts.pop(key) for key in provenance()} == {key: value or "" for key, value in provenance().items()}
    assert texts == {
        **{"estimator": "UnfoldedOGAMP", "weights_sha256": hash_of(network)},
        **{"adapt": str(steps), "synchronise": "False", "budget": "60.0"},
    }
