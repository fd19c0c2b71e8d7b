"""Reports: files and tables hold the results, in standard formats."""

import csv
import importlib.util
import io
import json
import math
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hand_made import CONFIDENCE
from rich.console import Console

from unfolded_ogamp import provenance
from unfolded_ogamp.evaluation.compare import Row, metric_names, summarise
from unfolded_ogamp.evaluation.report import results_tables, write_results, write_rows
from unfolded_ogamp.imaging.score import COLUMNS, SCORING, SceneMetrics

METRICS_OF_A = SceneMetrics(
    3,
    4,
    0,
    1,
    False,
    0.00125,
    1.1,
    0.0301,
    1.2,
    0.0025,
    4e-6,
    0.11,
    -31.5,
    1.0,
    0.5,
    1.0,
    1.0,
    0.4,
    0.9,
    1.0,
    **CONFIDENCE,
)
METRICS_OF_B = replace(METRICS_OF_A, n_estimated=0, missed=3, false=0, position_rmse=math.nan)
ROWS = [Row("toy", s, name, m, 0.25, 2, 1) for s in range(3) for name, m in (("a", METRICS_OF_A), ("b", METRICS_OF_B))]


def test_results_file(tmp_path):
    path = tmp_path / "new" / "results.json"
    write_results([*ROWS, replace(ROWS[0], scenario="dense")], path, {"seed": 7}, {"a": "0a1b"})
    document = json.loads(path.read_text())
    assert document["settings"] == {"seed": 7}
    assert document["weights_sha256"] == {"a": "0a1b"}
    assert set(document["results"]) == {"toy", "dense"}
    one = document["results"]["toy"]["a"]
    assert (one["n_scenes"], one["batch_size"], one["threads"]) == (3, 2, 1)
    assert set(one["metrics"]) == {*metric_names(METRICS_OF_A), "time"}
    expected = {"mean": 0.0301, "median": 0.0301, "low": 0.0301, "high": 0.0301, "n": 3}
    assert one["metrics"]["phase_rmse"] == pytest.approx(expected)
    assert one["metrics"]["time"]["mean"] == 0.25
    # Strict JSON has no NaN: a metric that no scene has is null, and its count is zero.
    missing = document["results"]["toy"]["b"]["metrics"]["position_rmse"]
    assert missing == {"mean": None, "median": None, "low": None, "high": None, "n": 0}
    assert [entry.name for entry in path.parent.iterdir()] == ["results.json"]


def test_provenance_names_no_host(tmp_path):
    write_results(ROWS, tmp_path / "results.json", {}, {})
    text = (tmp_path / "results.json").read_text()
    written = json.loads(text)["provenance"]
    assert written["python"] == platform.python_version()
    assert written["platform"] == f"{platform.system()} {platform.machine()}"
    assert platform.node() not in text


def test_commit_is_null_outside_a_checkout(tmp_path):
    """The module copied into another repository that does not track it must not report that repository's commit."""
    copy = tmp_path / "copied_provenance.py"
    copy.write_text(Path(provenance.__file__).read_text())
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "first"], cwd=tmp_path, check=True)
    specification = importlib.util.spec_from_file_location("copied_provenance", copy)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert module.provenance()["commit"] is None
    subprocess.run(["git", "add", copy.name], cwd=tmp_path, check=True)
    subprocess.run(["git", *identity, "commit", "-q", "-m", "second"], cwd=tmp_path, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert module.provenance()["commit"] == head.stdout.strip()
    copy.write_text(copy.read_text() + "\n")
    assert module.provenance()["commit"] == head.stdout.strip() + "-dirty"


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    path.write_text("old")

    def fail(self, text, **_):
        with self.open("w") as file:
            file.write(text[:10])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        write_results(ROWS, path, {}, {})
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


def test_rows_as_csv(tmp_path):
    write_rows(ROWS, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == 6
    assert read[0]["estimator"] == "a"
    assert float(read[0]["position_rmse"]) == 0.00125
    assert float(read[0]["time"]) == 0.25
    assert read[0]["success"] == "0"
    assert read[1]["position_rmse"] == ""
    assert [row["scene"] for row in read] == ["0", "0", "1", "1", "2", "2"]


def test_numbers_are_formatted_with_units_and_intervals():
    assert COLUMNS["chamfer"].heading == "chamfer [mm]"
    assert COLUMNS["chamfer"].interval(0.00125, 0.001, 0.0015) == "1.25 [1.00, 1.50]"
    assert COLUMNS["success"].interval(0.96, 0.88, 0.99) == "96.0 [88.0, 99.0]"
    assert COLUMNS["missed"].interval(math.nan, math.nan, math.nan) == "-"
    assert COLUMNS["missed"].interval(None, None, None) == "-"


def printed(table):
    """Lines on a screen of 80 characters, none broken or cut off."""
    console = Console(width=80, record=True, file=io.StringIO())
    assert console.measure(table).maximum <= 80
    console.print(table)
    return console.export_text().splitlines()


def test_table_has_a_column_per_estimator_and_fits_a_terminal():
    tables = results_tables(summarise([*ROWS, replace(ROWS[0], scenario="dense")]), SCORING)
    assert [table.title.split(",")[0] for table in tables] == ["toy", "dense"]
    lines = printed(tables[0])
    (position,) = (line for line in lines if "position error [mm]" in line)
    assert position.split("[mm]")[1].split() == ["1.25", "[1.25,", "1.25]", "-"]
    (success,) = (line for line in lines if "success [%]" in line)
    assert success.split("[%]")[1].split()[:3] == ["0.0", "[0.0,", "56.1]"]


def test_many_estimators_have_a_line_each():
    rows = [replace(ROWS[0], estimator=f"og_amp_variant_{number}") for number in range(12)]
    (table,) = results_tables(summarise(rows), SCORING)
    lines = printed(table)
    (line,) = (line for line in lines if "og_amp_variant_11" in line)
    metrics = rows[11].metrics
    expected = [COLUMNS[name].number(getattr(metrics, name)) for name in SCORING.shown[1:-1]]
    assert line.split()[4:-1] == expected
    assert line.split()[1] == COLUMNS["success"].number(float(metrics.success))
    assert {"[%]", "[ms]"} <= set(" ".join(lines).split())  # a unit is not taken for markup
