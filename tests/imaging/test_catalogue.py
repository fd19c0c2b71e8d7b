"""Estimators by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from small_network import export_small_network, small_network

from unfolded_ogamp.catalogue import build_estimator, build_estimators, parse_entry
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.imaging.baselines import BASELINES
from unfolded_ogamp.imaging.baselines.alternation import BaselineEstimator
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.system import SYSTEM
from unfolded_ogamp.pretrained import PretrainedError


def built(entry: object) -> object:
    return build_estimator(SYSTEM, parse_entry(entry))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_built_by_name(name):
    assert built(name) == AlternatingEstimator(PRESETS[name]())


def test_greedy_estimator_is_built_by_name():
    assert built("greedy") == GreedyEstimator()


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_built_by_name(name):
    if name in ("fista", "omp"):
        pytest.importorskip("pyproximal", reason="the benchmark extra is not installed")
    estimator = built(name)
    assert isinstance(estimator, BaselineEstimator)
    assert type(estimator.imager).__module__ == f"unfolded_ogamp.imaging.baselines.{name}"


@pytest.mark.parametrize("name", ["fista", "omp"])
def test_missing_extra_is_one_line(name, monkeypatch):
    for module in ("fista", "omp", "library"):
        monkeypatch.delitem(sys.modules, f"unfolded_ogamp.imaging.baselines.{module}", raising=False)
    for library in ("pylops", "pyproximal"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError) as caught:
        build_estimators(SYSTEM, ["gamp", name])
    found = {"fista": "pyproximal", "omp": "pylops"}[name]
    extra = "expected the benchmark extra (pip install unfolded_ogamp[benchmark])"
    assert str(caught.value) == f"estimator {name}: {extra}, found no {found}"


def test_blocks_limit_the_alternation():
    estimator = built({"name": "og_amp", "blocks": 7})
    assert isinstance(estimator, AlternatingEstimator)
    assert estimator.settings.blocks == 7 != PRESETS["og_amp"]().blocks


def test_network_comes_from_its_folder(tmp_path: Path):
    folder, other = export_small_network(tmp_path / "mine"), tmp_path / "other"
    mine = built({"name": "unfolded", "checkpoint": str(folder)})
    assert isinstance(mine, UnfoldedOGAMP)
    assert mine.settings == small_network().settings != built("unfolded").settings
    with pytest.raises(PretrainedError, match=f"{other}: expected the folder"):
        built({"name": "unfolded", "checkpoint": str(other)})


def test_estimators_are_reported_by_what_sets_them_apart(tmp_path: Path):
    folder = export_small_network(tmp_path / "mine")
    entries = ["og_amp", {"name": "og_amp", "blocks": 7}, "unfolded", {"name": "unfolded", "checkpoint": str(folder)}]
    assert list(build_estimators(SYSTEM, entries)) == ["og_amp", "og_amp (7 blocks)", "unfolded", "unfolded (mine)"]


KNOWN = f"unfolded, {', '.join(PRESETS)}, greedy, {', '.join(BASELINES)}"

REFUSED = {
    "unknown": ("og_apm", f"estimator: expected one of {KNOWN}, found 'og_apm'"),
    "none": (None, f"estimator: expected one of {KNOWN}, found 'None'"),
    "no name": ({"blocks": 3}, "estimator: expected a name, and a checkpoint or options, found blocks"),
    "unknown option": ({"name": "gamp", "layers": 3}, "estimator gamp: expected only blocks, found layers"),
    "no options": ({"name": "omp", "blocks": 3}, "estimator omp: expected no options, found blocks"),
    "another option": ({"name": "greedy", "blocks": 3}, "estimator greedy: expected only budget, found blocks"),
    "checkpoint of a classic": (
        {"name": "gamp", "checkpoint": "x"},
        "estimator gamp: expected a checkpoint for unfolded only, found one",
    ),
    "option of a network": (
        {"name": "unfolded", "blocks": 3},
        "estimator unfolded: expected no options, found blocks",
    ),
    "no blocks": ({"name": "gamp", "blocks": 0}, "estimator gamp: blocks must be at least 1, got 0"),
    "text for blocks": ({"name": "gamp", "blocks": "3"}, "estimator gamp: blocks must be a whole number, got '3'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_exist_is_refused_in_one_line(case):
    entry, message = REFUSED[case]
    with pytest.raises(InputError) as caught:
        built(entry)
    assert str(caught.value) == message


def test_estimators_must_be_some_and_different():
    with pytest.raises(InputError, match=r"expected some of unfolded, og_amp.*found none"):
        build_estimators(SYSTEM, [])
    with pytest.raises(InputError, match="expected each once, found gamp twice"):
        build_estimators(SYSTEM, ["gamp", {"name": "gamp"}])
