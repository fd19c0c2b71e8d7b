"""A broken CSI file is refused in one line: what was expected, what was found."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from csi_arrays import Arrays, edited, write

from unfolded_ogamp.imaging.files.csi import CsiFileError, load_csi

Build = Callable[[Arrays], dict[str, object]]

# The change of a good file (None: key removed) and the start of the message.
BROKEN: dict[str, tuple[dict[str, object] | Build, str]] = {
    "no tx": ({"tx": None}, "tx: expected this key, found only carrier_frequency, csi,"),
    "no csi": ({"csi": None}, "csi: expected this key"),
    "no frequency": ({"frequency": None}, "frequency: expected this key"),
    "csi axis": (
        lambda a: {"csi": a["csi"][:, :3]},
        "csi: expected shape [n_tx, n_rx, K] with n_rx = 4 along axis 1, found 3 in [5, 3, 2]",
    ),
    "csi axes": (lambda a: {"csi": a["csi"][..., 0]}, "csi: expected shape [n_tx, n_rx, K], found [5, 4]"),
    "rx dimension": (
        {"rx": np.ones((4, 3))},
        "rx: expected shape [n_rx, D] with D = 2 along axis 1, found 3 in [4, 3]",
    ),
    "link shape": (
        lambda a: {"link": a["link"].T},
        "link: expected shape [n_tx, n_rx] with n_tx = 5 along axis 0, found 4 in [4, 5]",
    ),
    "one dimension": (lambda a: {"tx": a["tx"][:, :1]}, "tx: expected 2 or 3 coordinates, found 1"),
    "no node": (
        lambda a: {"tx": a["tx"][:0]},
        "tx: expected at least one entry along every axis, found shape [0, 2]",
    ),
    "negative std": ({"tx_std": np.array(-0.01), "rx_std": np.array(0.01)}, "tx_std: expected values of at least 0"),
    "std of one side": ({"rx_std": np.array(0.01)}, "tx_std and rx_std: expected both or none, found one of them"),
    "phase std of one side": (
        {"tx_phase_std": np.array(0.1)},
        "tx_phase_std and rx_phase_std: expected both or none, found one of them",
    ),
    "std of some nodes": (
        {"tx_std": np.full(3, 0.01), "rx_std": np.array(0.01)},
        "tx_std: expected shape [n_tx] with n_tx = 5 along axis 0, found 3 in [3]",
    ),
    "gains of nodes": ({"gain_std": np.ones(5)}, "gain_std: expected shape [], found [5]"),
    "negative gain std": ({"gain_std": np.array(-1.0)}, "gain_std: expected a standard deviation of at least 0"),
    "nan in link": (
        lambda a: {"csi": edited(a["csi"], (*np.argwhere(a["link"])[3], 1), np.nan)},
        "csi: expected finite values on every measured link, found (nan+0j) at index [",
    ),
    "inf without link": (
        lambda a: {"csi": edited(a["csi"], (4, 3, 0), np.inf), "link": None},
        "csi: expected finite values on every measured link, found (inf+0j) at index [4, 3, 0]",
    ),
    "nan position": (
        lambda a: {"rx": edited(a["rx"], (2, 1), np.nan)},
        "rx: expected finite values everywhere, found nan at index [2, 1]",
    ),
    "nan line of sight": (
        lambda a: {"los_channel": a["los_channel"] * np.nan},
        "los_channel: expected finite values on every link with a line of sight, found (nan+nanj) at index [",
    ),
    "node on pixel": (
        lambda a: {"rx": edited(a["rx"], 1, [0.1, -0.1])},
        "roi and pixel: expected no node on the centre of a pixel, found one at [[0.1, -0.1]] m",
    ),
    "no link": (lambda a: {"link": a["link"] & False}, "link: expected at least one measured link, found none"),
    "disconnected": (
        {"link": edited(np.ones((5, 4), bool), (slice(None), 2), False)},
        "link: expected one connected network, or known node phases, found 1 of 9 nodes that no chain of links joins "
        "to tx 0: rx 2",
    ),
    "real csi": (lambda a: {"csi": a["csi"].real}, "csi: expected complex numbers, found float64"),
    "complex tx": (lambda a: {"tx": a["tx"] + 0j}, "tx: expected real numbers, found complex128"),
    "link of text": (
        {"link": np.full((5, 4), "yes")},
        "link: expected true or false (or 1 or 0), found <U3",
    ),
    "link of counts": (lambda a: {"link": 3 * a["link"]}, "link: expected true or false (or 1 or 0), found [3]"),
    "frequency zero": (
        {"frequency": np.array([1e9, 0.0])},
        "frequency: expected positive values, found 0.0",
    ),
    "carrier": ({"carrier_frequency": -1.0}, "carrier_frequency: expected a positive number, found -1.0"),
    "pixel": ({"pixel": 0.0}, "pixel: expected a positive number, found 0.0"),
    "pixels": ({"pixel": [0.2, 0.2]}, "pixel: expected a positive number, found an array of shape [2]"),
    "noise variance": ({"noise_variance": np.nan}, "noise_variance: expected a positive number, found nan"),
    "roi": (
        {"roi": [[-1, -1], [1, -1]]},
        "roi: expected the lower corner below the upper one, found [[-1.0, -1.0], [1.0, -1.0]]",
    ),
    "roi shape": ({"roi": np.ones((2, 3))}, "roi: expected shape [2, D] with D = 2 along axis 1, found 3"),
    "nodes on a line": (
        lambda a: {"roi": None, "tx": a["tx"] * [1, 0], "rx": a["rx"] * [1, 0]},
        "roi: expected corners, as the nodes span no region, found none",
    ),
    "huge grid": ({"pixel": 2e-7}, "a grid of 48000000000000 pixels would take "),
    "huge count": ({"pixel": 1e-300}, "roi and pixel: expected at most 1e+09 pixels along an axis, found "),
    "loss law": ({"loss": "flat"}, "loss: expected one of spherical, cylindrical, found 'flat'"),
    "gain of zero": ({"tx_gain": np.arange(5.0)}, "tx_gain: expected positive values, found 0.0"),
    "gains of others": (
        {"rx_gain": np.ones(5)},
        "rx_gain: expected shape [n_rx] with n_rx = 4 along axis 0, found 5 in [5]",
    ),
    "zero csi": (
        lambda a: {"csi": 0 * a["csi"]},
        "csi: expected a value other than zero, found zero on every measured link",
    ),
    "tx twice": (
        lambda a: {"tx": edited(a["tx"], 3, a["tx"][1])},
        "tx: expected nodes at different places, found nodes [[1, 3]] at one place",
    ),
    "rx twice": (lambda a: {"rx": edited(a["rx"], 3, a["rx"][0])}, "rx: expected nodes at different places"),
    "monostatic with line of sight": (
        lambda a: {"tx": edited(a["tx"], 2, a["rx"][1]), "link": None, "los": np.ones((5, 4), bool)},
        "los: expected a line of sight between different places, found tx and rx [[2, 1]] at one place",
    ),
    "truth": (
        lambda a: {"truth_reflectivity": a["truth_reflectivity"][:-1]},
        "truth_reflectivity: expected shape [S] with S = 1 along axis 0, found 0 in [0]",
    ),
    "truth phase": (
        {"truth_tx_phase": np.ones(7)},
        "truth_tx_phase: expected shape [n_tx] with n_tx = 5 along axis 0, found 7 in [7]",
    ),
    "objects": (
        lambda a: {"csi": a["csi"].astype(object)},
        "csi: expected an array of numbers, found unreadable content (Object arrays cannot be loaded",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_is_refused_in_one_line(case, saved, tmp_path):
    change, message = BROKEN[case]
    changed = change(saved) if callable(change) else change
    without = tuple(key for key, value in changed.items() if value is None)
    changed = {key: value for key, value in changed.items() if value is not None}
    path = write(tmp_path / "scene.npz", saved, without=without, **changed)
    with pytest.raises(CsiFileError) as caught:
        load_csi(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def single_array(good: bytes) -> bytes:
    with np.load(io.BytesIO(good)) as archive, io.BytesIO() as file:
        np.save(file, archive["csi"])
        return file.getvalue()


NOT_NPZ = "expected an .npz file, found another kind of file, or a part of one"

# The content of the file, from the bytes of a good one (None: no file), and the start of the message.
UNREADABLE: dict[str, tuple[Callable[[bytes], bytes] | bytes | None, str]] = {
    "not there": (None, "expected a file, found none"),
    "empty": (b"", NOT_NPZ),
    "text": (b"tx,rx\n1,2", NOT_NPZ),
    "single array": (single_array, NOT_NPZ),
    "truncated": (lambda good: good[:-200], NOT_NPZ),
    "damaged": (
        lambda good: good[:200] + bytes(200) + good[400:],
        "tx: expected an array of numbers, found unreadable content",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_file_is_refused_in_one_line(case, saved, tmp_path):
    content, message = UNREADABLE[case]
    path = tmp_path / "scene.npz"
    if content is not None:
        good = write(tmp_path / "good.npz", saved).read_bytes()
        path.write_bytes(content(good) if callable(content) else content)
    with pytest.raises(CsiFileError) as caught:
        load_csi(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_all_keys_of_a_file_without_a_required_one_are_named(saved, tmp_path):
    path = write(tmp_path / "scene.npz", {"Tx": saved["tx"], "rx": saved["rx"]})
    with pytest.raises(CsiFileError, match=r"scene.npz: tx: expected this key, found only Tx, rx$"):
        load_csi(path)


def test_folder_is_refused(tmp_path):
    with pytest.raises(CsiFileError, match="expected a file, found a folder"):
        load_csi(tmp_path)
