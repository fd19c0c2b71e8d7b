"""The CSI file: written arrays are read back, missing keys have their defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from csi_arrays import SCENARIO, edited, write
from places import SHARED

from unfolded_ogamp.imaging.files.arrays import from_arrays
from unfolded_ogamp.imaging.files.csi import load_csi, save_csi
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import SPEED_OF_LIGHT, los_channel


def is_csi_file(path: Path) -> bool:
    """Other files in the folder are measurements of other systems, with other keys."""
    with np.load(path) as archive:
        return {"tx", "rx", "frequency", "csi"} <= set(archive.files)


FOREIGN = sorted(filter(is_csi_file, (SHARED / "data").glob("*.npz")))


@pytest.mark.parametrize("scenario", [SCENARIO, Scenario(n_tx=3, n_rx=3, pixels=(4, 3, 5), node_radius=(1.0, 1.5))])
def test_round_trip(scenario, tmp_path):
    scene, csi = draw(scenario, 1, torch.Generator().manual_seed(1))
    save_csi(tmp_path / "scene.npz", scene, csi)
    loaded = load_csi(tmp_path / "scene.npz")
    for key in ("value", "link", "los", "los_trusted", "noise_variance"):
        assert torch.equal(getattr(loaded.csi, key), getattr(csi, key)), key
    assert torch.equal(loaded.csi.los_channel, csi.los_channel * csi.los[..., None])
    for key in ("tx", "rx", "frequency", "carrier_frequency"):
        assert torch.equal(getattr(loaded.array, key), getattr(scene.array, key)), key
    torch.testing.assert_close(loaded.grid.centre, scene.grid.centre, rtol=0, atol=1e-12)
    assert torch.equal(loaded.grid.pixel, scene.grid.pixel)
    for key in ("position", "reflectivity", "tx_phase", "rx_phase"):
        assert torch.equal(getattr(loaded.truth, key), getattr(scene, key)), key


def test_what_is_known_of_the_nodes_is_kept_and_one_number_holds_for_all(tmp_path):
    scene, csi = draw(SCENARIO, 1, torch.Generator().manual_seed(1))
    n_nodes = SCENARIO.n_tx + SCENARIO.n_rx
    node_std = torch.linspace(0.0, 0.05, n_nodes, dtype=torch.float64)[None]
    known = replace(csi, node_std=node_std, phase_std=4 * node_std, gain_std=torch.tensor([2.0], dtype=torch.float64))
    save_csi(tmp_path / "scene.npz", scene, known)
    loaded = load_csi(tmp_path / "scene.npz")
    assert torch.equal(loaded.csi.node_std, node_std)
    assert torch.equal(loaded.csi.phase_std, 4 * node_std)
    assert loaded.csi.phases_known is None
    assert torch.equal(loaded.csi.gain_std, known.gain_std)
    with np.load(tmp_path / "scene.npz") as archive:
        arrays = dict(archive)
    write(tmp_path / "scene.npz", {**arrays, "tx_std": np.array(0.02), "rx_std": np.array(0.03)})
    expected = [0.02] * SCENARIO.n_tx + [0.03] * SCENARIO.n_rx
    assert load_csi(tmp_path / "scene.npz").csi.node_std.tolist() == [expected]
    write(tmp_path / "scene.npz", {**arrays, "tx_phase_std": np.array(0.0), "rx_phase_std": np.array(0.0)})
    exact = load_csi(tmp_path / "scene.npz").csi
    assert exact.phase_std is None
    assert bool(exact.phases_known)


def test_truth_is_optional(tmp_path):
    save_csi(tmp_path / "scene.npz", *draw(SCENARIO, 1, torch.Generator().manual_seed(1)), truth=False)
    assert load_csi(tmp_path / "scene.npz").truth is None
    with np.load(tmp_path / "scene.npz") as archive:
        assert not [key for key in archive.files if key.startswith("truth")]


def test_spreading_and_gains_are_kept_and_shape_the_line_of_sight(tmp_path):
    scene, csi = draw(SCENARIO, 1, torch.Generator().manual_seed(1))
    gains = [torch.linspace(0.5, 2.0, n, dtype=torch.float64)[None] for n in (SCENARIO.n_tx, SCENARIO.n_rx)]
    half = torch.tensor([0.5], dtype=torch.float64)
    array = replace(scene.array, loss_exponent=half, tx_gain=gains[0], rx_gain=gains[1])
    save_csi(tmp_path / "scene.npz", replace(scene, array=array), replace(csi, los=torch.zeros_like(csi.los)))
    with np.load(tmp_path / "scene.npz") as archive:
        arrays = dict(archive)
    assert str(arrays["loss"]) == "cylindrical"
    arrays["los"], arrays["csi"] = arrays["link"], los_channel(array)[0].numpy()
    loaded = from_arrays(arrays)
    for key in ("loss_exponent", "tx_gain", "rx_gain"):
        assert torch.equal(getattr(loaded.array, key), getattr(array, key)), key
    torch.testing.assert_close(loaded.csi.los_channel, los_channel(array) * csi.link[..., None])


def test_only_known_arrays_are_taken(saved):
    with pytest.raises(ValueError, match=r"expected keys among tx, .*, found wavelength, TX"):
        from_arrays(saved | {"wavelength": saved["pixel"], "TX": saved["tx"]})


def test_only_one_scene_is_saved(tmp_path):
    with pytest.raises(ValueError, match="one scene, got a batch of 2"):
        save_csi(tmp_path / "scene.npz", *draw(SCENARIO, 2, torch.Generator().manual_seed(1)))


def test_interrupted_writing_keeps_the_old_file(saved, tmp_path, monkeypatch):
    path = write(tmp_path / "scene.npz", saved)
    before = path.read_bytes()

    def fail(file, **_):
        file.write(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save_csi(path, *draw(SCENARIO, 1, torch.Generator().manual_seed(2)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_csi_of_any_scale_is_read(saved, tmp_path, scale):
    path = write(tmp_path / "s.npz", saved, csi=saved["csi"] * scale, noise_variance=saved["noise_variance"] * scale**2)
    loaded = load_csi(path)
    np.testing.assert_array_equal(loaded.csi.value[0].numpy(), saved["csi"] * scale)
    assert loaded.csi.noise_variance.item() == saved["noise_variance"] * scale**2


def test_optional_keys_have_defaults(tmp_path):
    scene, csi = draw(Scenario(n_tx=20, n_rx=20), 1, torch.Generator().manual_seed(3))
    save_csi(tmp_path / "full.npz", scene, csi)
    with np.load(tmp_path / "full.npz") as archive:
        required = {key: archive[key] for key in ("tx", "rx", "frequency", "csi")}
    loaded = load_csi(write(tmp_path / "bare.npz", required))
    assert loaded.truth is None
    assert loaded.csi.link.all()
    assert not loaded.csi.los.any()
    assert not loaded.csi.los_trusted.any()
    assert loaded.csi.noise_variance is None
    assert loaded.array.carrier_frequency.item() == 1e9 + 60e3
    assert loaded.grid.pixel.item() == pytest.approx(SPEED_OF_LIGHT / (1e9 + 60e3) / 1.5)
    lower, upper = loaded.grid.centre[0].amin(0), loaded.grid.centre[0].amax(0)
    nodes = torch.cat([scene.array.tx, scene.array.rx], 1)[0]
    extent = nodes.amax(0) - nodes.amin(0)
    torch.testing.assert_close(upper - lower, extent / 2, rtol=0, atol=1.6 * loaded.grid.pixel.item())
    covered = ((scene.grid.centre[0] > lower) & (scene.grid.centre[0] < upper)).all(-1)
    assert covered.double().mean() > 0.85  # nodes all around leave the middle of their bounding box


def test_line_of_sight_defaults(saved, tmp_path):
    loaded = load_csi(write(tmp_path / "a.npz", saved, without=("los_channel", "los_trusted")))
    assert torch.equal(loaded.csi.los_trusted, loaded.csi.los)
    assert torch.equal(loaded.csi.los_channel, los_channel(loaded.array) * loaded.csi.los[..., None])
    measured = saved["los_channel"] * 2j
    trusted = edited(saved["los"], 0, False)
    loaded = load_csi(write(tmp_path / "b.npz", saved, los_channel=measured, los_trusted=trusted))
    np.testing.assert_array_equal(loaded.csi.los_channel[0].numpy(), measured * saved["los"][..., None])
    np.testing.assert_array_equal(loaded.csi.los_trusted[0].numpy(), trusted)


def test_line_of_sight_is_on_measured_links_and_trusted_where_it_is(saved, tmp_path):
    every = np.ones((5, 4), dtype=bool)
    without_first = edited(every, 0, False)
    loaded = load_csi(write(tmp_path / "s.npz", saved, los=without_first, los_trusted=every))
    assert torch.equal(loaded.csi.los, loaded.csi.link & torch.from_numpy(without_first))
    assert torch.equal(loaded.csi.los_trusted, loaded.csi.los)


def test_los_channel_without_los_gives_a_warning(saved, tmp_path):
    path = write(tmp_path / "s.npz", saved, without=("los", "los_trusted"))
    with pytest.warns(UserWarning, match="los_channel is given without los") as record:
        loaded = load_csi(path)
    assert record[0].filename == __file__
    assert not loaded.csi.los.any()


def test_missing_links_may_be_nan(saved, tmp_path):
    holes = np.where(saved["link"][..., None], saved["csi"], np.nan)
    assert np.isnan(holes).any()
    loaded = load_csi(write(tmp_path / "s.npz", saved, csi=holes, link=saved["link"].astype(float)))
    np.testing.assert_array_equal(loaded.csi.value[0].numpy(), saved["csi"])


def test_monostatic_nodes_without_a_line_of_sight(saved, tmp_path):
    tx = edited(saved["tx"], 0, saved["rx"][0])
    path = write(tmp_path / "s.npz", saved, without=("los", "los_trusted", "los_channel"), tx=tx)
    assert torch.isfinite(load_csi(path).csi.los_channel.abs()).all()


def test_pixels_are_rounded_about_the_middle(saved, tmp_path):
    roi = np.array([[-0.15, 0.0], [0.15, 0.1]])
    grid = load_csi(write(tmp_path / "s.npz", saved, roi=roi, pixel=0.045)).grid
    centre = grid.centre[0]
    assert len(centre) == 7 * 2  # of 6.7 x 2.2
    np.testing.assert_allclose(centre.mean(0), [0.0, 0.05], atol=1e-12)
    np.testing.assert_allclose(centre[1] - centre[0], [0.045, 0.0], atol=1e-12)


def test_phases_may_be_given_per_node(saved, tmp_path):
    path = write(
        tmp_path / "s.npz", saved, without=("truth_reflectivity",), truth_tx_phase=saved["truth_tx_phase"][:, 0]
    )
    truth = load_csi(path).truth
    assert truth.reflectivity is None
    np.testing.assert_array_equal(truth.tx_phase[0].numpy(), saved["truth_tx_phase"])


@pytest.mark.skipif(not FOREIGN, reason="needs the measured and full-wave scenes")
@pytest.mark.parametrize("path", FOREIGN, ids=[path.stem for path in FOREIGN])
def test_scenes_from_other_sources_can_be_read(path):
    loaded = load_csi(path)
    with np.load(path) as archive:
        assert loaded.csi.link.sum() == archive["link"].sum()
        assert loaded.csi.los.sum() == archive["los"].sum()
        lower, upper = archive["roi"]
        np.testing.assert_array_equal(loaded.truth.position[0].numpy(), archive["truth_position"])
        np.testing.assert_array_equal(loaded.truth.rx_phase[0, :, -1].numpy(), archive["truth_rx_phase"])
    assert torch.all(loaded.csi.value[~loaded.csi.link] == 0)
    half = loaded.grid.pixel / 2
    np.testing.assert_allclose(loaded.grid.centre[0].amin(0) - half, lower, atol=half.item())
    np.testing.assert_allclose(loaded.grid.centre[0].amax(0) + half, upper, atol=half.item())


def test_line_of_sight_in_free_space_takes_the_scale_of_the_csi(saved, tmp_path):
    without = ("los_channel",)
    plain = load_csi(write(tmp_path / "plain.npz", saved, without))
    expected = los_channel(plain.array) * plain.csi.los[..., None]
    assert torch.equal(plain.csi.los_channel, expected)
    with pytest.warns(UserWarning, match="times the line of sight in free space, which is scaled to it"):
        quiet = load_csi(write(tmp_path / "quiet.npz", saved, without, csi=1e-6 * saved["csi"]))
    ratio = quiet.csi.los_channel[quiet.csi.los] / plain.csi.los_channel[plain.csi.los]
    assert 0.7e-6 < float(ratio.real.mean()) < 1.4e-6
    assert float(ratio.std()) < 1e-12
