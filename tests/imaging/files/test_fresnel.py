"""The text format of the Institut Fresnel: the place of every number, and the geometry that fits the field."""

from __future__ import annotations

import math

import numpy as np
import pytest
from places import SHARED

from unfolded_ogamp.imaging.files.arrays import from_arrays
from unfolded_ogamp.imaging.files.fresnel import fresnel_arrays
from unfolded_ogamp.physics import SPEED_OF_LIGHT

MEASURED = sorted((SHARED / "data").glob("dielTM_dec8f_*.npz"))
HEADER = "Institut Fresnel\n2001 05 15\n\n36 transmitters\nTx Rx GHz total incident\n"


def line(tx: int, rx: int, gigahertz: float, total: complex, incident: complex) -> str:
    return f"{tx} {rx} {gigahertz} {total.real!r} {total.imag!r} {incident.real!r} {incident.imag!r}\n"


def test_every_number_is_in_its_place(tmp_path):
    """Three links at two frequencies, one of them at one frequency only, below a header."""
    text = HEADER + line(1, 37, 2, 0.1 + 0.2j, 0.3 - 0.4j) + line(1, 37, 3, 0.5 + 0.6j, 0.7 + 0.8j)
    text += line(10, 13, 3, -1 + 2j, 3 - 4j) + line(10, 13, 2, 5 + 6j, 7 + 8j) + line(36, 72, 2, 1j, 2j)
    (tmp_path / "tiny.exp").write_text(text)
    arrays = fresnel_arrays(tmp_path / "tiny.exp", [3e9, 2e9])
    assert arrays["csi"].shape == (36, 72, 2)
    assert arrays["link"].nonzero()[0].tolist() == [0, 9]
    assert arrays["link"].nonzero()[1].tolist() == [36, 12]
    np.testing.assert_array_equal(arrays["csi"][0, 36], [0.5 + 0.6j, 0.1 + 0.2j])
    np.testing.assert_array_equal(arrays["los_channel"][0, 36], [0.7 + 0.8j, 0.3 - 0.4j])
    np.testing.assert_array_equal(arrays["csi"][9, 12], [-1 + 2j, 5 + 6j])
    np.testing.assert_array_equal(arrays["los_channel"][9, 12], [3 - 4j, 7 + 8j])
    # receiver 37 is opposite transmitter 1; receiver 13 is 30 degrees before transmitter 10
    np.testing.assert_allclose(arrays["rx"][36], [-0.76, 0], atol=1e-12)
    np.testing.assert_allclose(np.hypot(*arrays["tx"].T), 0.72)
    assert arrays["los_trusted"][0, 36]
    assert not arrays["los_trusted"][9, 12]
    # a link at one frequency is enough if only that frequency is requested
    assert fresnel_arrays(tmp_path / "tiny.exp", [2e9])["link"].sum() == 3


BROKEN = {
    "frequency": (line(1, 37, 2, 1j, 1j), [4e9], r"expected frequencies among 2e\+09 Hz, found 4e\+09"),
    "label": (line(37, 37, 2, 1j, 1j), [2e9], r"expected transmitters 1 to 36 and receivers 1 to 72, found \[37.0, 37"),
    "columns": (line(1, 37, 2, 1j, 1j) + "1 2 3 4 5 6\n", [2e9], "expected seven numbers in line 7, found '1 2 3 4 5"),
    "nothing": ("", [2e9], "expected rows of seven numbers, found none"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_text_is_refused_in_one_line(case, tmp_path):
    text, frequency, message = BROKEN[case]
    (tmp_path / "broken.exp").write_text(HEADER + text)
    with pytest.raises(ValueError, match=message):
        fresnel_arrays(tmp_path / "broken.exp", frequency)


@pytest.mark.skipif(not MEASURED, reason="needs the measured files")
@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_measured_fields_are_read_with_the_known_geometry(path, tmp_path):
    """A measured file, written as text, is read with its known geometry, links and trusted lines of sight."""
    known = {key: value for key, value in np.load(path).items() if key not in ("note", "carrier_frequency")}
    gigahertz = float(known["frequency"][0]) / 1e9
    text = HEADER
    for i, j in np.argwhere(known["link"]):
        text += line(i + 1, j + 1, gigahertz, complex(known["csi"][i, j, 0]), complex(known["los_channel"][i, j, 0]))
    (tmp_path / "measured.exp").write_text(text)
    arrays = fresnel_arrays(tmp_path / "measured.exp", [gigahertz * 1e9])
    for key in ("link", "los", "los_trusted"):
        np.testing.assert_array_equal(arrays[key], known[key], err_msg=key)
    for key in ("tx", "rx", "csi", "los_channel", "roi", "frequency"):
        np.testing.assert_allclose(arrays[key], np.where(np.isnan(known[key]), 0, known[key]), atol=1e-12, err_msg=key)
    assert from_arrays(arrays).csi.value.shape == (1, 36, 72, 1)


@pytest.mark.skipif(not MEASURED, reason="needs the measured files")
@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_incident_field_determines_the_sign_and_the_transmitter_positions(path):
    """With a phase per transmitter, it agrees best with exp(-j k d), from -2.7 degrees, not 0 as labelled."""
    known = np.load(path)
    trusted, incident = known["los_trusted"], known["los_channel"][..., 0]
    wavenumber = 2 * math.pi * float(known["frequency"][0]) / SPEED_OF_LIGHT

    def agreement(start: float, sign: int) -> float:
        angle = np.radians(10 * np.arange(36) + start)
        tx = 0.72 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        distance = np.linalg.norm(tx[:, None] - known["rx"], axis=-1)
        turned = np.where(trusted, incident / np.abs(incident).clip(1e-12), 0) * np.exp(
            sign * 1j * wavenumber * distance
        )
        return float(np.abs(turned.sum(1)).sum() / trusted.sum())

    starts = np.arange(-6, 3, 0.1)
    assert abs(starts[np.argmax([agreement(start, 1) for start in starts])] + 2.7) < 0.25
    assert agreement(-2.7, 1) > 2 * agreement(-2.7, -1)
