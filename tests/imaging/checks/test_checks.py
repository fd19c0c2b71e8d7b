"""Checks of a measurement: a right file passes, and every mistake is found and named."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from faulty_scenes import shifted_ring
from places import SHARED

from unfolded_ogamp.imaging.checks import Verdict, check_arrays
from unfolded_ogamp.imaging.checks.conventions import (
    AS_IT_IS,
    BOTH,
    CONJUGATED,
    IN_MILLIMETRES,
    SWAPPED,
    Convention,
    compare_conventions,
)
from unfolded_ogamp.imaging.checks.fit import phase_misfit
from unfolded_ogamp.imaging.checks.geometry import check_delays, mean_delay, possible_delays
from unfolded_ogamp.imaging.files.arrays import KEYS, from_arrays
from unfolded_ogamp.imaging.files.csi import save_csi
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import SPEED_OF_LIGHT, los_channel

SCENARIO = Scenario(n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.05, subcarrier_spacing=1e6)
LINE_OF_SIGHT = replace(SCENARIO, n_tx=16, n_rx=16, sparsity=0.02, los=True, blocked_los=0.3)
MEASURED = SHARED / "data"
pytestmark = pytest.mark.filterwarnings("ignore:the CSI is")  # times the line of sight of positions in millimetres
MILLIMETRES = Convention("metres given as millimetres", "", scale=1e3)

Arrays = dict[str, np.ndarray]


def arrays_of(scenario: Scenario, folder: Path, seed: int = 0) -> Arrays:
    save_csi(folder / "scene.npz", *draw(scenario, 1, torch.Generator().manual_seed(seed)), truth=False)
    with np.load(folder / "scene.npz") as archive:
        return {key: value for key, value in archive.items() if key != "los_channel"}


def verdicts(arrays: Arrays) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in check_arrays(arrays)}


@pytest.mark.parametrize("scenario", [SCENARIO, LINE_OF_SIGHT], ids=["scattering", "line of sight"])
def test_a_right_file_passes(scenario, tmp_path):
    found = verdicts(arrays_of(scenario, tmp_path))
    assert found.pop("line of sight") == (Verdict.PASS if scenario.los else Verdict.UNDECIDED)
    assert set(found.values()) == {Verdict.PASS}


@pytest.mark.parametrize("scenario", [SCENARIO, LINE_OF_SIGHT], ids=["scattering", "line of sight"])
@pytest.mark.parametrize(
    ("mistake", "remedy"),
    [(CONJUGATED, CONJUGATED), (SWAPPED, SWAPPED), (BOTH, BOTH), (MILLIMETRES, IN_MILLIMETRES)],
    ids=lambda convention: convention.name,
)
def test_every_mistake_fails_with_its_remedy(scenario, mistake, remedy, tmp_path):
    checks = {check.name: check for check in check_arrays(mistake.convert(arrays_of(scenario, tmp_path)))}
    name = "line of sight" if "point scatterers" not in checks else "point scatterers"
    assert checks[name].verdict == Verdict.FAIL
    assert f"if {remedy.name}: {remedy.advice}." in checks[name].sentence
    if mistake.conjugate:
        assert checks["delays"].verdict == Verdict.FAIL


def test_conventions_undo_their_mistakes(tmp_path):
    arrays = arrays_of(LINE_OF_SIGHT, tmp_path)
    for convention in (CONJUGATED, SWAPPED, BOTH):
        again = convention.convert(convention.convert(arrays))
        assert all(np.array_equal(again[key], arrays[key]) for key in arrays)
    again = IN_MILLIMETRES.convert(MILLIMETRES.convert(arrays))
    assert all(np.allclose(again[key], arrays[key], rtol=1e-12, atol=0) for key in ("tx", "rx", "roi", "pixel"))


def test_known_line_of_sight_is_checked_against_the_csi_and_against_the_geometry(tmp_path):
    arrays = arrays_of(LINE_OF_SIGHT, tmp_path)
    known = arrays | {"los_channel": los_channel(from_arrays(arrays).array)[0].numpy()}
    found = verdicts(known)
    assert (found["line of sight"], found["known line of sight"]) == (Verdict.PASS, Verdict.PASS)
    found = verdicts(known | {"csi": known["csi"].conj()})
    assert (found["line of sight"], found["known line of sight"]) == (Verdict.FAIL, Verdict.PASS)
    found = verdicts(CONJUGATED.convert(known))
    assert (found["line of sight"], found["known line of sight"]) == (Verdict.PASS, Verdict.FAIL)


def test_line_of_sight_misfit_is_zero_whatever_the_node_phases_and_antennas(tmp_path):
    file = from_arrays(arrays_of(LINE_OF_SIGHT, tmp_path))
    generator = torch.Generator().manual_seed(0)
    reference = los_channel(file.array)
    phase = 2 * math.pi * torch.rand(2, 1, 16, 1, generator=generator, dtype=torch.float64)
    gain = 1 + torch.rand(1, 16, 16, 1, generator=generator, dtype=torch.float64)
    measured = reference * gain * torch.polar(torch.ones_like(gain), phase[0][:, :, None] - phase[1][:, None])
    assert phase_misfit(measured, reference, file) == pytest.approx(0, abs=1e-9)
    assert phase_misfit(measured.conj(), reference, file) > 0.3


def test_mean_delay_of_one_scatterer_is_that_of_its_paths_by_their_power(tmp_path):
    scene, csi = draw(replace(SCENARIO, sparsity=0.01, missing_links=0.2), 1, torch.Generator().manual_seed(2))
    save_csi(tmp_path / "scene.npz", scene, csi)
    file = from_arrays({key: value for key, value in np.load(tmp_path / "scene.npz").items() if key in KEYS})
    delays, powers = [], []
    for i, tx in enumerate(scene.array.tx[0]):
        for j, rx in enumerate(scene.array.rx[0]):
            if scene.link[0, i, j]:
                path = [float((node - scene.position[0, 0]).norm()) for node in (tx, rx)]
                delays.append(sum(path) / SPEED_OF_LIGHT)
                powers.append((path[0] * path[1]) ** -2)
    mean, deviation = mean_delay(file)
    expected = float(np.average(delays, weights=powers))
    assert abs(mean - expected) < 4 * deviation < 0.5 * expected
    shortest, longest = possible_delays(file)
    assert shortest < min(delays) < max(delays) < longest


def test_delays_are_undecided_at_one_frequency_and_doubtful_for_unsynchronised_clocks(tmp_path):
    arrays = arrays_of(SCENARIO, tmp_path)
    one = arrays | {"frequency": arrays["frequency"][:1], "csi": arrays["csi"][..., :1]}
    assert check_delays(from_arrays(one)).verdict == Verdict.UNDECIDED
    twice = arrays | {"frequency": arrays["frequency"][[0, 0]]}
    assert check_delays(from_arrays(twice)).verdict == Verdict.UNDECIDED
    turn = np.exp(-2j * np.pi * 2e-7 * (arrays["frequency"] - arrays["frequency"][0]))  # 200 ns late
    assert check_delays(from_arrays(arrays | {"csi": arrays["csi"] * turn})).verdict == Verdict.DOUBT


def test_a_single_scatterer_leaves_the_sign_undecided(tmp_path):
    """At one frequency, unknown node phases explain one scatterer in any convention."""
    alone = replace(SCENARIO, sparsity=0.01, phase_model="uniform", n_subcarriers=1)
    assert verdicts(arrays_of(alone, tmp_path))["point scatterers"] == Verdict.UNDECIDED


NUMBERS = {
    "axes": (lambda a: {"csi": np.moveaxis(a["csi"], -1, 0)}, "axes", "its axes are in the order [1, 2, 0]"),
    "shape": (lambda a: {"csi": a["csi"][:7]}, "axes", "they do not fit one another"),
    "GHz": (
        lambda a: {"frequency": a["frequency"] / 1e9, "carrier_frequency": np.array(1.0)},
        "frequency",
        "looks like GHz",
    ),
    "MHz": (
        lambda a: {"frequency": a["frequency"] / 1e6, "carrier_frequency": np.array(1e3)},
        "frequency",
        "looks like MHz",
    ),
    "carrier": (lambda _: {"carrier_frequency": np.array(1.0)}, "frequency", "carrier_frequency 1 is far from them"),
    "kilometres": (lambda a: {"tx": a["tx"] / 1e3, "rx": a["rx"] / 1e3}, "lengths", "metres are expected"),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_implausible_numbers_end_the_checks(case, tmp_path):
    change, name, message = NUMBERS[case]
    arrays = arrays_of(SCENARIO, tmp_path)
    checks = {check.name: check for check in check_arrays(arrays | change(arrays))}
    assert checks[name].verdict == Verdict.FAIL
    assert message in checks[name].sentence
    assert set(checks) == {"axes", "frequency", "lengths"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("csi", np.ones((10, 10), complex), r"csi: expected shape \[n_tx, n_rx, K\], found \[10, 10\]"),
        ("tx", np.ones((10, 2), complex), "tx: expected real numbers, found complex128"),
        ("pixel", np.ones(2), "pixel: expected a positive number, found an array"),
        ("csi", np.ones((10, 10, 2)), "csi: expected complex numbers, found float64"),
    ],
)
def test_invalid_arrays_are_refused(key, value, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        check_arrays(arrays_of(SCENARIO, tmp_path) | {key: value})


@pytest.mark.parametrize(
    ("own", "other", "verdict"),
    [
        (0.1, 0.5, "pass"),
        (0.5, 0.1, "fail"),
        (0.1, 0.15, "undecided"),
        (0.7, 0.8, "doubt"),
        (0.0, 0.0, "undecided"),
        (0.001, 0.04, "undecided"),
    ],
)
def test_conventions_are_distinguished_by_the_ratio_of_misfits(own, other, verdict):
    assert (
        compare_conventions("name", {AS_IT_IS: own, SWAPPED: 0.9, CONJUGATED: other}, least_ratio=2.0).verdict
        == verdict
    )


def test_no_remedy_is_named_if_several_fit_alike():
    alike = compare_conventions("name", {AS_IT_IS: 0.5, SWAPPED: 0.1, CONJUGATED: 0.11}, least_ratio=2.0)
    assert alike.verdict == Verdict.FAIL
    assert "several conventions fit alike (Tx and Rx are swapped or conjugated): none is certain" in alike.sentence
    one = compare_conventions("name", {AS_IT_IS: 0.5, SWAPPED: 0.1, CONJUGATED: 0.21}, least_ratio=2.0)
    assert one.sentence.endswith(f"{SWAPPED.advice}.")


def test_findings_are_checks_and_the_rest_is_checked_without_what_they_leave_out(tmp_path):
    arrays = arrays_of(SCENARIO, tmp_path)
    dead = arrays | {"csi": arrays["csi"] * (np.arange(10) != 4)[:, None]}
    checks = {check.name: check for check in check_arrays(dead)}
    assert checks["dead nodes"].verdict == Verdict.DOUBT
    assert checks["dead nodes"].sentence == "the CSI of Rx 4 is zero on all links. Left out: Rx 4."
    assert checks["point scatterers"].verdict == Verdict.PASS


def test_a_finding_that_decides_saves_the_fit(tmp_path):
    """Clocks that are apart, and lists of nodes that several mistakes explain; no remedy is certain then."""
    band = replace(LINE_OF_SIGHT, n_subcarriers=16, blocked_los=0.0)
    arrays = arrays_of(band, tmp_path)
    late = 2e-7 * np.random.default_rng(0).random(16)
    turn = np.exp(-2j * np.pi * late[:, None, None] * (arrays["frequency"] - 1e9))
    checks = {check.name: check for check in check_arrays(arrays | {"csi": arrays["csi"] * turn})}
    assert checks["clocks are apart"].verdict == Verdict.FAIL
    assert "synchronise=true" in checks["clocks are apart"].sentence
    assert "point scatterers" not in checks

    faulty = shifted_ring(torch.Generator().manual_seed(0))
    ring = {
        "tx": faulty.array.tx[0].numpy(),
        "rx": faulty.array.rx[0].numpy(),
        "frequency": faulty.array.frequency[0].numpy(),
        "csi": faulty.csi.value[0].numpy(),
        "los": faulty.csi.los[0].numpy(),
        "roi": np.array([[-1.5, -1.5], [1.5, 1.5]]),
    }
    checks = {check.name: check for check in check_arrays(ring)}
    assert checks["order of nodes"].verdict == Verdict.FAIL
    assert "does not decide between them" in checks["order of nodes"].sentence
    assert checks["symmetric array"].verdict == Verdict.UNDECIDED
    assert not {"line of sight", "point scatterers"} & checks.keys()


@pytest.mark.skipif(not MEASURED.exists(), reason="needs the measured files")
@pytest.mark.parametrize("name", ["dielTM_dec8f_3GHz", "a1_constrcs_small_nlos"])
def test_measured_files_pass_and_their_conjugates_fail(name):
    arrays = {
        key: value
        for key, value in np.load(MEASURED / f"{name}.npz").items()
        if key in KEYS and not key.startswith("truth")
    }
    assert not {Verdict.FAIL, Verdict.DOUBT} & set(verdicts(arrays).values())
    assert Verdict.FAIL in verdicts(CONJUGATED.convert(arrays)).values()
