"""Estimators by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from small_network import export_small_network, small_network

from unfolded_ogamp.imaging.baselines import RIVALS
from unfolded_ogamp.imaging.baselines.alternation import RivalEstimator
from unfolded_ogamp.imaging.catalogue import (
    CatalogueError,
    EstimatorEntry,
    build_estimator,
    build_estimators,
    parse_entry,
)
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.pretrained import PretrainedError

NOWHERE = Path("nowhere")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_built_by_name(name):
    assert build_estimator(parse_entry(name), NOWHERE) == AlternatingEstimator(PRESETS[name]())


def test_greedy_estimator_is_built_by_name():
    assert build_estimator(parse_entry("greedy"), NOWHERE) == GreedyEstimator()


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_are_built_by_name(name):
    if name in ("fista", "omp"):
        pytest.importorskip("pyproximal", reason="the benchmark extra is not installed")
    estimator = build_estimator(parse_entry(name), NOWHERE)
    assert isinstance(estimator, RivalEstimator)
    assert type(estimator.imager).__module__ == f"unfolded_ogamp.imaging.baselines.{name}"


@pytest.mark.parametrize("name", ["fista", "omp"])
def test_missing_extra_is_one_line(name, monkeypatch):
    for module in ("fista", "omp", "library"):
        monkeypatch.delitem(sys.modules, f"unfolded_ogamp.imaging.baselines.{module}", raising=False)
    for library in ("pylops", "pyproximal"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(CatalogueError) as caught:
        build_estimators(["gamp", name], NOWHERE)
    found = {"fista": "pyproximal", "omp": "pylops"}[name]
    extra = "expected the benchmark extra (pip install unfolded_ogamp[benchmark])"
    assert str(caught.value) == f"estimator {name}: {extra}, found no {found}"


def test_blocks_limit_the_alternation():
    estimator = build_estimator(parse_entry({"name": "og_amp", "blocks": 7}), NOWHERE)
    assert isinstance(estimator, AlternatingEstimator)
    assert estimator.settings.blocks == 7 != PRESETS["og_amp"]().blocks


def test_network_comes_from_its_folder(tmp_path):
    default, other = export_small_network(tmp_path / "default"), tmp_path / "other"
    assert isinstance(build_estimator(parse_entry("unfolded"), default), UnfoldedOGAMP)
    with pytest.raises(PretrainedError, match=f"{other}: expected the folder"):
        build_estimator(parse_entry({"name": "unfolded", "checkpoint": str(other)}), default)


def test_estimators_are_reported_by_what_sets_them_apart(tmp_path):
    folder = export_small_network(tmp_path / "mine")
    entries = ["og_amp", {"name": "og_amp", "blocks": 7}, "unfolded", {"name": "unfolded", "checkpoint": str(folder)}]
    estimators = build_estimators(entries, folder)
    assert list(estimators) == ["og_amp", "og_amp (7 blocks)", "unfolded", "unfolded (mine)"]
    assert estimators["unfolded"].settings == small_network().settings


ALTERNATING = ", ".join(PRESETS)
KNOWN = f"unfolded, {ALTERNATING}, greedy, {', '.join(RIVALS)}"

REFUSED = {
    "unknown": ("og_apm", f"estimator: expected one of {KNOWN}, found 'og_apm'"),
    "none": (None, f"estimator: expected one of {KNOWN}, found 'None'"),
    "no name": ({"blocks": 3}, "estimator: expected a name, and a checkpoint or blocks if any, found blocks"),
    "unknown key": (
        {"name": "gamp", "layers": 3},
        "estimator: expected a name, and a checkpoint or blocks if any, found name, layers",
    ),
    "checkpoint of a classic": (
        {"name": "gamp", "checkpoint": "x"},
        "estimator gamp: expected a checkpoint for unfolded only, found one",
    ),
    "blocks of a network": (
        {"name": "unfolded", "blocks": 3},
        f"estimator unfolded: expected blocks for {ALTERNATING} only, found some",
    ),
    "no blocks": ({"name": "gamp", "blocks": 0}, "estimator gamp: expected blocks of at least 1, found 0"),
    "text for blocks": ({"name": "gamp", "blocks": "3"}, "estimator gamp: expected blocks of at least 1, found '3'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_exist_is_refused_in_one_line(case):
    entry, message = REFUSED[case]
    with pytest.raises(CatalogueError) as caught:
        parse_entry(entry)
    assert str(caught.value) == message


def test_estimators_must_be_some_and_different():
    with pytest.raises(CatalogueError, match=r"expected some of unfolded, og_amp.*found none"):
        build_estimators([], NOWHERE)
    with pytest.raises(CatalogueError, match="expected each once, found gamp twice"):
        build_estimators(["gamp", EstimatorEntry("gamp").name], NOWHERE)
