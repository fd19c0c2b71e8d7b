"""The table of confidence: which scenes and scatterers count in which share, on rows made by hand and from a script."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from matrix_of_rows import matrix_of_rows
from run_script import run_script

from unfolded_ogamp.evaluation.statistics import wilson_interval
from unfolded_ogamp.imaging.commands.confidence import as_csv, as_markdown, confidence_table


def rows_with(**values):
    """Rows of one estimator on one scenario, with these metrics scene by scene."""
    row = matrix_of_rows()[0]
    names = [dict(zip(values, each, strict=True)) for each in zip(*values.values(), strict=True)]
    return [replace(row, scene=scene, metrics=replace(row.metrics, **each)) for scene, each in enumerate(names)]


def line(rows, kind=None):
    """The line of a kind of scenes, by default of the scenario."""
    (found,) = (row for row in confidence_table(rows) if row["scenes"] == (kind or rows[0].scenario))
    return found


def test_confident_scatterers_are_pooled_over_scenes():
    false = line(rows_with(confident=[10, 1, 0], confident_false=[1, 1, 0]))["confident_false"]
    assert (false.mean, false.n) == (pytest.approx(2 / 11), 11)


def test_coverage_counts_the_scatterers_found_in_converged_scenes():
    """A scene of two scatterers with one inside, one of three with all inside, and one that has not converged."""
    rows = rows_with(
        n_true=[3, 3, 3],
        missed=[1, 0, 0],
        converged=[True, True, False],
        position_inside_90=[0.5, 1.0, 0.0],
        phase_inside_90=[0.8, 1.0, 0.0],
    )
    found = line(rows)
    assert (found["position_inside_90"].mean, found["position_inside_90"].n) == (pytest.approx(4 / 5), 5)
    assert found["phase_inside_90"].mean == pytest.approx(0.9)
    assert found["converged"].mean == pytest.approx(2 / 3)


def test_a_scene_without_matched_scatterers_has_no_coverage():
    rows = rows_with(n_true=[3, 3], missed=[3, 0], position_inside_90=[float("nan"), 1.0])
    assert (line(rows)["position_inside_90"].mean, line(rows)["position_inside_90"].n) == (1.0, 3)


def test_silent_errors_are_a_share_of_the_scenes():
    rows = rows_with(silently_wrong=[True, True, False, False], silently_wrong_in_reach=[True, False, False, False])
    found = line(rows)
    assert (found["silently_wrong"].mean, found["silently_wrong_in_reach"].mean) == (0.5, 0.25)
    assert (found["silently_wrong"].low, found["silently_wrong"].high) == wilson_interval(2, 4)


def test_kinds_of_scenes_are_shown_where_they_are_a_part():
    rows = rows_with(determination=[0.9, 1.0, 1.9, 5.0], genie=[1.0] * 4, phase_spread=[0.0, 0.5, 1.5, 1.5])
    counts = {found["scenes"]: found["n"] for found in confidence_table(rows)}
    assert counts == {
        rows[0].scenario: 4,
        "link phases within 0.1 rad": 1,
        "link phases within 1 rad": 1,
        "link phases beyond": 2,
        "more unknowns than equations": 1,
        "1 to 2 equations per unknown": 2,
        "4 equations per unknown and more": 1,
    }


def test_all_scenarios_are_pooled_per_estimator():
    rows = matrix_of_rows()
    table = confidence_table(rows)
    assert [(found["estimator"], found["scenes"], found["n"]) for found in table[:3]] == [
        ("a", "all", 8),
        ("a", "a", 4),
        ("a", "b", 4),
    ]
    assert table[0]["success"].mean == 7 / 8
    assert len(as_markdown(table).splitlines()) == len(table) + 2
    assert "87.5 [" in as_markdown(table)
    lines = list(csv.DictReader(as_csv(table).splitlines()))
    assert float(lines[1]["mean"]) == 7 / 8
    assert (lines[1]["metric"], lines[1]["n_scenes"]) == ("success", "8")


def test_command_writes_tables_and_picture(tmp_path: Path, capfd):
    arguments = ["estimators=[gamp]", "scenarios=[anything,blind_8]", "n_scenes=2", "threads=1"]
    assert run_script("confidence", *arguments, f"output={tmp_path}") == 0
    names = ["results.json", "scenes.csv", "confidence.csv", "confidence.md", "reliability.png"]
    assert [Path(path).name for path in capfd.readouterr().out.split()] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert list(json.loads((tmp_path / "results.json").read_text())["results"]) == ["anything", "blind_8"]
    assert "| gamp | all | 4 |" in (tmp_path / "confidence.md").read_text()
    with open(tmp_path / "scenes.csv", newline="") as file:
        scenes = list(csv.DictReader(file))
    assert all(float(scene["genie"]) > 0.9 for scene in scenes if scene["scenario"] == "blind_8")
