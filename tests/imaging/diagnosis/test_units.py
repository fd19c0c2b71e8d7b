"""Units that are not hertz and metres are suspected by name; waves of another speed and raw integers are understood."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from csi_arrays import SCENARIO, Arrays

from unfolded_ogamp.imaging.checks import Verdict, check_arrays
from unfolded_ogamp.imaging.diagnosis.examination import examine
from unfolded_ogamp.imaging.diagnosis.units import frequency_unit, suspicion
from unfolded_ogamp.imaging.files.arrays import KEYS, from_arrays
from unfolded_ogamp.imaging.files.csi import CsiFileError, save_csi
from unfolded_ogamp.imaging.system import read
from unfolded_ogamp.physics import SPEED_OF_LIGHT

SOUND = 1540.0


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> Arrays:
    path = tmp_path_factory.mktemp("units") / "scene.npz"
    save_csi(path, *SCENARIO.draw(1, torch.Generator().manual_seed(0)), truth=False)
    return {key: value for key, value in np.load(path).items() if key in KEYS}


@pytest.mark.parametrize(("factor", "unit"), [(1e9, "GHz"), (1e6, "MHz"), (1e3, "kHz"), (1.0, None)])
def test_unit_of_frequency_is_named(arrays, factor, unit):
    changed = arrays | {key: arrays[key] / factor for key in ("frequency", "carrier_frequency")}
    assert frequency_unit(changed) == unit
    assert suspicion(changed) == ("" if unit is None else suspicion(changed))
    if unit is not None:
        assert f"seem to be in {unit}" in suspicion(changed)
        assert {check.name: check.verdict for check in check_arrays(changed)}["frequency"] == Verdict.FAIL


@pytest.mark.parametrize("without", ["pixel", "nothing"])
def test_millimetres_are_suspected_with_a_pixel_and_without(arrays, without, tmp_path):
    changed = arrays | {key: 1e3 * arrays[key] for key in ("tx", "rx", "roi", "pixel")}
    changed["roi"] = changed["roi"] * 20  # too large to be searched at pixels of two thirds of a wavelength
    changed = {
        key: value for key, value in changed.items() if key not in (without, "los", "los_channel", "los_trusted")
    }
    if without == "pixel":
        np.savez(tmp_path / "scene.npz", **changed)
        with pytest.raises(CsiFileError, match=r"GB available; the nodes span .* wavelengths: .* seem to be in mill"):
            read(tmp_path / "scene.npz")
        checks = {check.name: check for check in check_arrays(changed)}
        assert (checks["lengths"].verdict, checks["grid"].verdict) == (Verdict.DOUBT, Verdict.FAIL)
    else:
        file = from_arrays(changed)
        assert examine(file.csi, file.array, file.grid).findings[0].name == "lengths"


def test_a_suspicion_is_added_to_the_reason_of_a_refusal_only_if_there_is_one(arrays, tmp_path):
    np.savez(tmp_path / "scene.npz", **arrays | {"frequency": arrays["frequency"] / 1e9, "carrier_frequency": 1.0})
    with pytest.raises(CsiFileError, match=r"at one place; frequencies of 1 to 1.00012 seem to be in GHz"):
        read(tmp_path / "scene.npz")
    np.savez(tmp_path / "scene.npz", **arrays | {"rx": arrays["rx"][1:]})
    with pytest.raises(CsiFileError, match=r"found 4 in \[5, 4\]$"):
        read(tmp_path / "scene.npz")


def test_waves_of_another_speed_have_their_wavelengths(arrays):
    """Sound of the same wavelengths: frequencies differ by the ratio of the speeds, and nothing else does."""
    ratio = SOUND / SPEED_OF_LIGHT
    sound = arrays | {key: ratio * arrays[key] for key in ("frequency", "carrier_frequency")}
    sound["wave_speed"] = np.array(SOUND)
    light, file = from_arrays(arrays), from_arrays(sound)
    assert torch.allclose(file.array.wavenumber, light.array.wavenumber, rtol=1e-12, atol=0)
    assert torch.allclose(file.array.wavelength, light.array.wavelength, rtol=1e-12, atol=0)
    assert torch.equal(file.csi.value, light.csi.value)
    assert frequency_unit(sound) is None
    assert frequency_unit({key: value for key, value in sound.items() if key != "wave_speed"}) is not None
    with pytest.raises(ValueError, match=r"wave_speed: expected a positive number, found 0"):
        from_arrays(sound | {"wave_speed": np.array(0.0)})


@pytest.mark.parametrize(
    ("axes", "hint"),
    [
        ((1, 2, 3, 0), r"\[5, 4, 2\] with real and imaginary part along axis 3: csi\[..., 0\] \+ 1j \* csi\[..., 1\]"),
        ((0, 1, 2, 3), r"\[5, 4, 2\] with real and imaginary part along axis 0: csi\[0, :, :, :\]"),
    ],
)
def test_integers_in_an_axis_of_two_are_recognised(arrays, axes, hint):
    # four subcarriers would be ambiguous with two parts
    parts = np.stack([arrays["csi"].real, arrays["csi"].imag])
    raw = np.rint(100 * parts / np.abs(parts).max()).astype(np.int8).transpose(axes)
    if axes[0] == 0:
        raw = np.concatenate([raw] * 3, axis=3)
        hint = hint.replace("4, 2", "4, 6")
    for function in (from_arrays, check_arrays):
        with pytest.raises(ValueError, match=f"csi: expected complex numbers, found int8 of shape .*{hint}"):
            function(arrays | {"csi": raw})
