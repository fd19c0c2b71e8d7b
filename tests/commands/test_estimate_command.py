"""From the CSI file of a user to an estimate and a picture, or to an error of one line."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from run_script import SCRIPTS, run_script
from small_network import export_small_network

from unfolded_ogamp import load_pretrained
from unfolded_ogamp.catalogue import names
from unfolded_ogamp.imaging.files.csi import load_csi, save_csi
from unfolded_ogamp.imaging.network.adaptation import AdaptationSettings, adapted
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.system import SYSTEM
from unfolded_ogamp.physics import link_phase, link_phase_error, link_phasor

SCENARIO = Scenario(n_tx=10, n_rx=9, pixels=(8, 8), sparsity=0.05)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good CSI file, one without noise variance, a broken one, and a network."""
    folder = tmp_path_factory.mktemp("estimate")
    export_small_network(folder / "network")
    save_csi(folder / "scene.npz", *draw(SCENARIO, 1, torch.Generator().manual_seed(0)))
    with np.load(folder / "scene.npz") as archive:
        arrays = dict(archive)
    arrays["los_channel"] = np.ones_like(arrays["csi"])
    np.savez(folder / "noted.npz", **{key: arrays[key] for key in arrays if key not in ("noise_variance", "los")})
    np.savez(folder / "broken.npz", **arrays | {"rx": arrays["rx"][1:]})
    return folder


def script_in_new_process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPTS / "estimate.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def test_csi_file_gives_estimate_and_picture(folder, tmp_path):
    output = tmp_path / "new" / "output"
    done = script_in_new_process(folder, "input=scene.npz", f"output={output}", "estimator=og_amp")
    assert (done.returncode, done.stderr) == (0, "")
    size, headline = [line for line in done.stdout.splitlines() if line][:2]
    assert size.startswith("10 x 9 nodes, 2 frequencies; 64 pixels of 0.2 m, centres -0.7 ... 0.7 x -0.7 ... 0.7 m")
    assert headline.startswith(
        "3 scatterers, 3 of 3 true ones within a tenth of a wavelength; node phases known to 0.0"
    )
    assert sorted(path.name for path in output.iterdir()) == ["estimate.npz", "estimate.png"]
    assert (output / "estimate.png").read_bytes().startswith(PNG)
    truth = load_csi(folder / "scene.npz").truth
    with np.load(output / "estimate.npz") as archive:
        position, strength = torch.from_numpy(archive["position"]), np.abs(archive["reflectivity"])
    assert float(torch.cdist(position, truth.position[0]).min(0).values.max()) < 0.01
    # the table on the screen lists them, strongest first, with units
    assert all(unit in done.stdout for unit in ("[m]", "[mm]", "[dB]"))
    strongest = position[int(strength.argmax())].tolist()
    lines = [line for line in done.stdout.splitlines() if "0.0" in line.split()]
    assert ", ".join(f"{value:.4f}" for value in strongest) in lines[0]
    assert sorted(path.name for path in folder.iterdir()) == ["broken.npz", "network", "noted.npz", "scene.npz"]


def test_broken_file_is_one_line_and_leaves_nothing(folder, tmp_path):
    done = script_in_new_process(folder, "input=broken.npz", f"output={tmp_path / 'out'}", "estimator=og_amp")
    expected = "broken.npz: link: expected shape [n_tx, n_rx] with n_rx = 8 along axis 1, found 9 in [10, 9]\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)
    assert not (tmp_path / "out").exists()


def test_network_estimates_in_the_precision_of_the_file(folder, tmp_path, capfd):
    """Also, warnings on the file are printed, and the residual is not compared with an unknown noise variance."""
    arguments = [f"input={folder / 'noted.npz'}", f"output={tmp_path}", f"checkpoint={folder / 'network'}"]
    assert run_script("estimate", *arguments) == 0
    output, error = capfd.readouterr()
    assert error == ""
    assert output.startswith("Note: los_channel is given without los")
    assert "dB below the CSI" in output
    file = load_csi(folder / "scene.npz")
    csi, array, grid = file.csi, file.array, file.grid
    with torch.no_grad():
        expected = load_pretrained(folder / "network")(csi, array, grid)
    with np.load(tmp_path / "estimate.npz") as archive:
        assert archive["tx_phase"].dtype == np.float64
        assert np.abs(archive["pixel_probability"] - expected.pixel_probability[0].numpy()).max() < 0.1


def test_adaptation_reports_its_result(folder, tmp_path, capfd):
    arguments = [f"input={folder / 'scene.npz'}", f"output={tmp_path}", f"checkpoint={folder / 'network'}", "adapt=2"]
    assert run_script("estimate", *arguments) == 0
    (line,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("Adapted in 2 steps")]
    after, before = (float(word) for word in line.split() if word.replace(".", "").isdigit() and word != "2")
    assert 0 < after <= before < 100
    file, network = load_csi(folder / "scene.npz"), load_pretrained(folder / "network")
    tuned = adapted(network, file.csi, file.array, file.grid, AdaptationSettings(steps=2))
    assert (after, before) == pytest.approx((100 * tuned.after, 100 * tuned.before), rel=1e-3)


def test_nodes_without_a_line_of_sight_are_named(tmp_path, capfd):
    scene, csi = draw(replace(SCENARIO, los=True), 1, torch.Generator().manual_seed(1))
    los = csi.los.clone()
    los[:, 3] = los[:, :, 7] = False
    direct = csi.los_channel * link_phasor(scene.tx_phase, scene.rx_phase).conj()
    value = torch.where(los[..., None], csi.value, csi.value - direct)
    save_csi(tmp_path / "scene.npz", scene, replace(csi, value=value, los=los, los_trusted=los))
    arguments = [f"input={tmp_path / 'scene.npz'}", f"output={tmp_path / 'out'}", "estimator=greedy"]
    assert run_script("estimate", *arguments) == 0
    line = "No line of sight: Tx 3, Rx 7; their phases come from scattering alone."
    assert line in capfd.readouterr().out.splitlines()
    with np.load(tmp_path / "out" / "estimate.npz") as archive:
        assert archive["tx_without_los"].nonzero()[0].tolist() == [3]
        assert archive["rx_without_los"].nonzero()[0].tolist() == [7]


def test_findings_are_printed_and_written(tmp_path, capfd):
    """A subcarrier and a node without a measurement: the estimate still has the node phases of all subcarriers."""
    scene, csi = draw(replace(SCENARIO, n_subcarriers=3), 1, torch.Generator().manual_seed(0))
    value = csi.value.clone()
    value[..., 1] = 0
    value[:, :, 4] = 0
    save_csi(tmp_path / "scene.npz", scene, replace(csi, value=value))
    arguments = [f"input={tmp_path / 'scene.npz'}", f"output={tmp_path / 'out'}", "estimator=greedy"]
    assert run_script("estimate", *arguments) == 0
    expected = [
        "null subcarriers: subcarrier 1 holds zero on all links (1 of 3 subcarriers). Left out: subcarrier 1",
        "dead nodes: the CSI of Rx 4 is zero on all links. Left out: Rx 4",
    ]
    lines = capfd.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("Note")] == [f"Note: {line}." for line in expected]
    (headline,) = [line for line in lines if "3 of 3 true ones" in line]
    assert "node phases known to 0.0" in headline
    with np.load(tmp_path / "out" / "estimate.npz") as archive:
        assert archive["diagnosis"].tolist() == expected
        assert archive["tx_phase"].shape == (10, 3)
        assert np.abs(archive["tx_phase"][:, 1] - archive["tx_phase"][:, 0]).max() == 0
        assert archive["rx_phase_std"][4] > 1 > 10 * np.delete(archive["rx_phase_std"], 4).max()


def test_a_band_is_synchronised_if_asked(tmp_path, capfd):
    """Late transmitters in a band with lines of sight: node phases of all subcarriers are those of the clocks."""
    band = replace(SCENARIO, los=True, n_subcarriers=16, subcarrier_spacing=1.25e6, phase_model="uniform")
    scene, csi = draw(band, 1, torch.Generator().manual_seed(2))
    late = 2e-7 * torch.rand(1, 10, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    phase = 2 * torch.pi * late * scene.array.frequency[:, None]
    turned = csi.value * torch.polar(torch.ones_like(phase), -phase)[:, :, None]
    save_csi(tmp_path / "scene.npz", replace(scene, tx_phase=scene.tx_phase + phase), replace(csi, value=turned))
    arguments = [
        f"input={tmp_path / 'scene.npz'}",
        f"output={tmp_path / 'out'}",
        "estimator=greedy",
        "synchronise=true",
    ]
    assert run_script("estimate", *arguments) == 0
    output = capfd.readouterr().out
    assert "Note: clocks are apart: " in output
    assert "Synchronised over the line of sight." in output
    assert "3 of 3 true ones" in output
    with np.load(tmp_path / "out" / "estimate.npz") as archive:
        estimated = (torch.from_numpy(archive[f"{side}_phase"])[None] for side in ("tx", "rx"))
        error = link_phase_error(link_phase(*estimated), link_phase(scene.tx_phase + phase, scene.rx_phase), csi.link)
    assert float(error.square().mean().sqrt()) < 0.1


# Arguments, {} being the folder, and the line on stderr.
REFUSED = {
    "no input": (["estimator=og_amp"], "input: expected input=VALUE, found none"),
    "no such file": (["input={}/a.npz", "estimator=og_amp"], "{}/a.npz: expected a file, found none"),
    "unknown estimator": (
        ["input={}/scene.npz", "estimator=music"],
        f"estimator: expected one of {', '.join(names(SYSTEM))}, found 'music'",
    ),
    "no checkpoint": (
        ["input={}/scene.npz", "checkpoint={}/none"],
        "{}/none: expected the folder of an exported network, found none",
    ),
    "checkpoint of a classic": (
        ["input={}/scene.npz", "estimator=gamp", "checkpoint={}/network"],
        "estimator gamp: expected a checkpoint for unfolded only, found one",
    ),
    "unknown noise": (
        ["input={}/noted.npz", "estimator=og_amp_paper"],
        "{}/noted.npz: known_noise needs CSI with a noise variance, got CSI without one",
    ),
    "file for a folder": (
        ["input={}/scene.npz", "checkpoint={}/network", "output={}/scene.npz"],
        "{}/scene.npz: expected a folder that can be written, found file exists",
    ),
    "folder below a file": (
        ["input={}/scene.npz", "checkpoint={}/network", "output={}/scene.npz/below"],
        "{}/scene.npz/below: expected a folder that can be written, found not a directory",
    ),
}


@pytest.mark.filterwarnings("ignore:los_channel")
@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case, folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    arguments, message = REFUSED[case]
    assert run_script("estimate", *(argument.format(folder) for argument in arguments)) == 2
    assert capfd.readouterr().err == message.format(folder) + "\n"
    assert list(tmp_path.iterdir()) == []


def test_estimate_and_picture_come_together(folder, tmp_path, monkeypatch, capfd):
    """If the picture cannot be written, no estimate is written either."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: (_ for _ in ()).throw(OSError("no font")))
    arguments = [f"input={folder / 'scene.npz'}", f"output={tmp_path / 'out'}", f"checkpoint={folder / 'network'}"]
    assert run_script("estimate", *arguments) == 2
    assert capfd.readouterr().err == "no font\n"
    assert not (tmp_path / "out").exists()
