"""An exported network gives the same estimates to the last bit; a broken export gives an error of one line."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_network import DETAILS, export_small_network, small_network

from unfolded_ogamp import load_pretrained
from unfolded_ogamp.export import export_network, model_card
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SceneMetrics
from unfolded_ogamp.pretrained import CARD, SHIPPED, PretrainedError, load_details

STATISTIC = {"mean": 0.00125, "median": 0.001, "low": 0.001, "high": 0.0015, "n": 8}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_small_network(tmp_path_factory.mktemp("export") / "network")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_estimates_are_the_same_to_the_last_bit(exported, dtype):
    scene, csi = draw(Scenario(n_tx=6, n_rx=5, pixels=(6, 6)), 2, torch.Generator().manual_seed(0))
    arguments = csi.to(dtype), scene.array.to(dtype), scene.grid.to(dtype)
    with torch.no_grad():
        before = small_network()(*arguments)
        after = load_pretrained(exported)(*arguments)
        untrained = UnfoldedOGAMP(small_network().settings)(*arguments)
    assert after.prediction.abs().max() > 0
    for name in ("prediction", "tx_phase", "rx_phase", "pixel_probability", "noise_variance", "residual"):
        assert torch.equal(getattr(after, name), getattr(before, name))
    for one, other in zip(after.scatterers, before.scatterers, strict=True):
        assert torch.equal(one.position, other.position)
    assert not torch.equal(untrained.prediction, before.prediction)


def test_the_shipped_card_is_that_of_the_present_code():
    card = model_card(load_pretrained(SHIPPED), load_details(SHIPPED))
    assert (SHIPPED / CARD).read_text(encoding="utf-8") == card


def test_loaded_network_keeps_no_gradients(exported):
    network = load_pretrained(exported)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_configuration_holds_all_details(exported):
    assert load_details(exported) == DETAILS
    config = json.loads((exported / "config.json").read_text())
    content = (exported / "model.safetensors").read_bytes()
    assert config["weights_sha256"] == hashlib.sha256(content).hexdigest()
    assert config["network"]["blocks"] == 2
    assert load_pretrained(exported).settings == small_network().settings


def test_every_setting_survives(tmp_path):
    settings = NetworkSettings(blocks=1, first_exit=1, layers=3)
    imaging = replace(settings.imaging, sparsity=0.07, damping=0.4)
    settings = replace(settings, imaging=imaging, screening=replace(settings.screening, spacing=0.3))
    export_network(UnfoldedOGAMP(settings), tmp_path / "network", DETAILS)
    assert load_pretrained(tmp_path / "network").settings == settings


def test_card_shows_the_measured_figures(tmp_path):
    folder = export_small_network(tmp_path / "network")
    assert "Not measured yet." in (folder / "README.md").read_text()
    metrics = dict.fromkeys((*(field.name for field in fields(SceneMetrics)), "time"), STATISTIC)
    metrics["phase_rmse"] = {"mean": None, "median": None, "low": None, "high": None, "n": 0}
    measured = {"paper": {"unfolded": {"n_scenes": 8, "batch_size": 4, "threads": 2, "metrics": metrics}}}
    # as after an evaluation of the exported network
    export_network(load_pretrained(folder), folder, replace(load_details(folder), measured=measured))
    card = (folder / "README.md").read_text()
    row = next(line for line in card.splitlines() if line.startswith("| paper"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:3] == ["paper", "unfolded", "8"]
    assert cells[7:11] == ["0.00 [0.00, 0.00]", "-", "0.00 [0.00, 0.00]", "1.25 [1.00, 1.50]"]
    assert "Trained for 1.50 hours with seed 3, by version 0.0.9 of the code, commit 0123abc" in card
    layers = {key.rsplit(".", 1)[0] for key in load_file(folder / "model.safetensors") if key.startswith("refinement.")}
    assert f"then {len(layers)} joint layers" in card
    assert '"name": "toy"' in card
    assert load_details(folder).measured == measured
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["network"]


def test_card_of_a_short_training_at_an_unknown_commit():
    details = replace(DETAILS, training_time=90.0, provenance={**DETAILS.provenance, "commit": None})
    card = model_card(small_network(), details)
    assert "Trained for 1.5 minutes with seed 3, by version 0.0.9 of the code, on:" in card
    assert "commit" not in card


def test_other_folders_are_not_overwritten(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    export_small_network(folder)  # empty: nothing to lose
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"expected no folder.*found README.md, config.json, model.*notes.txt"):
        export_small_network(folder)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="expected a folder"):
        export_small_network(tmp_path / "file")
    assert (folder / "notes.txt").read_text() == (tmp_path / "file").read_text() == "mine"


def test_failed_export_keeps_the_old_one(tmp_path):
    folder = export_small_network(tmp_path / "network")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    broken = small_network()
    with torch.no_grad():
        broken.blocks[1].imaging[0].damping.fill_(torch.nan)
    with pytest.raises(PretrainedError, match=r"expected finite weights, found blocks.1.imaging.0.damping"):
        export_network(broken, folder, DETAILS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        export_network(small_network(), folder, replace(DETAILS, training_time=float("inf")))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["network"]


def edit_config(change: Callable[[dict], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return edit


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return edit


FIRST = "blocks.0.imaging.0.activity"

# Change of the folder of a good export, and the message after the name of the folder.
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, ": expected the folder of an exported network, found none"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "/model.safetensors: expected a file, found none"),
    "no configuration": (lambda f: (f / "config.json").unlink(), "/config.json: expected a file, found none"),
    "truncated configuration": (
        lambda f: (f / "config.json").write_text('{"network": {'),
        "/config.json: expected JSON, found unreadable content",
    ),
    "binary configuration": (
        lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"),
        "/config.json: expected JSON, found unreadable content",
    ),
    "list": (lambda f: (f / "config.json").write_text("[]"), "/config.json: expected an object, found list"),
    "no seed": (edit_config(lambda c: c.pop("seed")), "/config.json: expected the key 'seed', found none"),
    "another key": (
        edit_config(lambda c: c.update(colour="red")),
        "/config.json: expected only the keys system, network, weights_sha256, trained_on, seed, provenance, "
        "training_time, measured, "
        "found 'colour'",
    ),
    "no network": (
        edit_config(lambda c: c.update(network=None)),
        "/config.json: network: expected an object, found NoneType",
    ),
    "setting missing": (
        edit_config(lambda c: c["network"]["imaging"].pop("damping")),
        "/config.json: network.imaging: expected the key 'damping', found none",
    ),
    "setting unknown": (
        edit_config(lambda c: c["network"].update(depth=3)),
        "/config.json: network: expected only the keys blocks, first_exit, layers, detection_passes, additions, "
        "false_alarms, joint_layers, final_layers, prunings, width, starts, fallback, imaging, synchronisation, "
        "screening, greedy, "
        "found 'depth'",
    ),
    "setting of another type": (
        edit_config(lambda c: c["network"]["imaging"].update(adapt_prior=1)),
        "/config.json: network.imaging.adapt_prior must be true or false, got 1",
    ),
    "setting out of range": (
        edit_config(lambda c: c["network"].update(blocks=0)),
        "/config.json: network.blocks must be at least 1, got 0",
    ),
    "weights of another run": (
        edit_weights(lambda w: w.update({FIRST: w[FIRST] + 1})),
        "/model.safetensors: expected weights with the hash ",
    ),
    "weights of a larger network": (
        edit_config(lambda c: c["network"].update(blocks=1, first_exit=1)),
        "/model.safetensors: expected weights that fit config.json: blocks.1.imaging.0.activity to be nothing, "
        "found float32 []",
    ),
    "weights of a smaller network": (
        edit_config(lambda c: c["network"].update(layers=3)),
        "/model.safetensors: expected weights that fit config.json: blocks.0.imaging.2.activity to be float32 [], "
        "found nothing",
    ),
    "weights of another shape": (
        edit_weights(lambda w: w.update({FIRST: torch.zeros(2)})),
        f"/model.safetensors: expected weights that fit config.json: {FIRST} to be float32 [], found float32 [2]",
    ),
    "weights of another precision": (
        edit_weights(lambda w: w.update({FIRST: w[FIRST].double()})),
        f"/model.safetensors: expected weights that fit config.json: {FIRST} to be float32 [], found float64 []",
    ),
    "infinite weight": (
        edit_weights(lambda w: w[FIRST].fill_(torch.inf)),
        f"/model.safetensors: expected finite weights, found {FIRST} with a nan or inf",
    ),
    "truncated weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-5]),
        "/model.safetensors: expected weights, found unreadable content",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folder_is_refused_in_one_line(case, exported, tmp_path):
    change, message = BROKEN[case]
    folder = tmp_path / "network"
    shutil.copytree(exported, folder)
    change(folder)
    with pytest.raises(PretrainedError) as caught:
        load_pretrained(folder)
    assert str(caught.value).startswith(f"{folder}{message}")
    assert "\n" not in str(caught.value)
