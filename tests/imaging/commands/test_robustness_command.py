"""The command that measures estimators on perturbed scenes: its table, its rows and its messages."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_script import run_script

from unfolded_ogamp.imaging.commands.robustness import Row, as_csv, as_markdown, statistics_of

PERFECT = Row(
    n_true=4,
    missed=0,
    false=0,
    success=True,
    wrong=False,
    converged=True,
    position_rmse=1e-3,
    position_aligned=1e-3,
    position_ratio=1.0,
    aligned_ratio=1.0,
    node_aligned=1e-3,
    node_ratio=math.nan,
    position_inside=1.0,
    phase_inside=0.9,
    estimator="one",
    perturbation="none",
    scene=0,
    time=0.5,
)


def row(scene: int, **changed: Any) -> Row:
    return replace(PERFECT, scene=scene, **changed)


def test_coverage_is_pooled_over_the_scatterers() -> None:
    rows = [row(0, missed=2, position_inside=0.5), row(1), row(2, missed=4, position_inside=math.nan)]
    found = statistics_of(rows)
    assert found["position_inside"].mean == pytest.approx((1 + 4) / 6)
    assert found["position_inside"].n == 6


def test_what_has_no_bound_is_left_open() -> None:
    assert "| - |" in as_markdown([row(0), row(1)])
    lines = list(csv.DictReader(as_csv([row(0), row(1)]).splitlines()))
    assert [line["node_ratio"] for line in lines] == ["", ""]
    assert [float(line["time"]) for line in lines] == [0.5, 0.5]


def test_a_run_writes_the_scenes_and_the_table(tmp_path: Path) -> None:
    options = ["scenario=toy", "perturbations=[none,outliers_5]", "n_scenes=2", "threads=1", f"output={tmp_path}"]
    assert run_script("robustness", *options) == 0
    lines = list(csv.DictReader((tmp_path / "scenes.csv").read_text().splitlines()))
    assert [(line["perturbation"], line["scene"]) for line in lines] == [
        (name, str(scene)) for name in ("none", "outliers_5") for scene in range(2)
    ]
    table = (tmp_path / "robustness.md").read_text()
    assert table.count("| greedy |") == 2


def test_an_unknown_perturbation_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script("robustness", "perturbations=[nodes]", f"output={tmp_path}") != 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "perturbations: expected names of none, nodes_5mm" in line
    assert line.endswith("got nodes")
