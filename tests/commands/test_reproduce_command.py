"""Figures of the paper from the command line."""

from __future__ import annotations

import csv

import pytest
from run_script import run_script
from small_network import export_small_network

PNG = b"\x89PNG\r\n\x1a\n"


def test_figure_5_as_numbers_table_and_picture(tmp_path, capfd):
    network = export_small_network(tmp_path / "network")
    arguments = ["figure=5", "size=tiny", "seed=3", "threads=1", f"checkpoint={network}", f"output={tmp_path / 'out'}"]
    assert run_script("reproduce", *arguments) == 0
    assert [line.rsplit("/", 1)[-1] for line in capfd.readouterr().out.split()] == [
        *("figure_5.csv", "figure_5.md", "figure_5.png")
    ]
    assert (tmp_path / "out" / "figure_5.png").read_bytes().startswith(PNG)
    with open(tmp_path / "out" / "figure_5.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    chamfer = [row for row in rows if row["metric"] == "chamfer"]
    assert [row["panel"] for row in chamfer] == list("abcdefghijkl")
    assert {row["n"] for row in chamfer} == {"3"}
    line = (tmp_path / "out" / "figure_5.md").read_text().splitlines()[2]
    assert line.startswith(f"| a | {chamfer[0]['title']} | 0.0375 | {float(chamfer[0]['median']):.4f} ")


REFUSED = {
    "figure": ("figure=4", "figure: expected one of 5, 6, "),
    "size": ("size=huge", "size: expected one of tiny, quick, full, found 'huge'"),
    "seed": ("seed=-1", "seed must be at least 0, got -1"),
    "threads": ("threads=0", "threads must be at least 1, got 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    argument, message = REFUSED[case]
    assert run_script("reproduce", "figure=6", argument) == 2
    output, error = capfd.readouterr()
    assert output == ""
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
