"""Comparisons of estimators, and the demonstration, from the command line."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from run_script import run_script
from small_network import export_small_network

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.commands.evaluate import EvaluationSettings, drawn, without_noise_variance
from unfolded_ogamp.imaging.commands.demo import bound_on_average
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.named import MIXTURES
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import scene_metrics
from unfolded_ogamp.scenes import evaluation_scenes

TOY = Scenario(name="toy", n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.05)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_small_network(tmp_path_factory.mktemp("evaluate") / "network")


def read_rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_same_scenes_for_all_and_files_that_say_so(network, tmp_path, capfd):
    entries = f"[{{name: og_amp, blocks: 3}},gamp,{{name: unfolded, checkpoint: {network}}}]"
    arguments = [f"estimators={entries}", "scenarios=[toy,nodes_16]", "n_scenes=3", "batch_size=2", "seed=5"]
    assert run_script("evaluate", *arguments, "threads=1", f"output={tmp_path}") == 0
    output = capfd.readouterr().out
    assert "toy, 3 scenes" in output
    assert "nodes_16, 3 scenes" in output
    names = ["og_amp (3 blocks)", "gamp", f"unfolded ({Path(network).name})"]
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["settings"] == {"n_scenes": 3, "batch_size": 2, "seed": 5, "device": "cpu"}
    assert {scenario: list(results) for scenario, results in document["results"].items()} == {
        "toy": names,
        "nodes_16": names,
    }
    rows = [row for row in read_rows(tmp_path / "scenes.csv") if row["scenario"] == "toy"]
    pairs = [(int(row["scene"]), row["estimator"]) for row in rows]
    assert sorted(pairs) == sorted((scene, name) for scene in range(3) for name in names)
    # batches of two, then one, and the last scene is the same by itself
    assert [int(row["batch_size"]) for row in rows if row["estimator"] == "gamp"] == [2, 2, 1]
    scene, measured = list(evaluation_scenes(TOY, 3, 1, seed=5))[2]
    with torch.inference_mode():
        estimate = AlternatingEstimator(PRESETS["gamp"]())(measured, scene.array, scene.grid)
    expected = scene_metrics(scene, estimate, 0, joint_bound(scene, 0))
    (row,) = [row for row in rows if row["estimator"] == "gamp" and row["scene"] == "2"]
    assert int(row["n_estimated"]) == expected.n_estimated
    assert float(row["phase_rmse"]) == pytest.approx(expected.phase_rmse, rel=1e-3)


def test_results_do_not_depend_on_other_estimators_or_scenarios(network, tmp_path):
    """The result of an estimator on a scene is independent of other estimators and scenarios."""
    base = ["n_scenes=2", "batch_size=2", "threads=1"]
    mine = f"{{name: unfolded, checkpoint: {network}}}"
    assert run_script("evaluate", *base, f"estimators=[{mine}]", "scenarios=[toy]", f"output={tmp_path / 'a'}") == 0
    assert (
        run_script(
            "evaluate", *base, f"estimators=[gamp,{mine}]", "scenarios=[nodes_16,toy]", f"output={tmp_path / 'b'}"
        )
        == 0
    )
    alone, together = (
        [
            {key: value for key, value in row.items() if key != "time"}
            for row in read_rows(tmp_path / name / "scenes.csv")
            if row["scenario"] == "toy" and row["estimator"].startswith("unfolded")
        ]
        for name in "ab"
    )
    assert len(alone) == 2
    assert alone == together


def test_noise_variance_that_estimators_do_not_know(tmp_path):
    """Both kinds have the same scenes; the noise variance of the estimate comes from the residual in the second."""
    settings = EvaluationSettings(n_scenes=2, batch_size=2, seed=5, device="cpu")
    ((scene, known),) = drawn([TOY], settings)["toy"]
    ((same, unknown),) = without_noise_variance(drawn([TOY], settings)["toy"])
    assert torch.equal(same.position, scene.position)
    assert torch.equal(unknown.value, known.value)
    assert known.noise_variance is not None
    assert unknown.noise_variance is None
    arguments = ["estimators=[gamp]", "scenarios=[toy]", "n_scenes=2", "threads=1", f"output={tmp_path}"]
    for option, kinds in {
        "known": ["toy"],
        "unknown": ["toy, noise variance unknown"],
        "both": ["toy", "toy, noise variance unknown"],
    }.items():
        assert run_script("evaluate", *arguments, f"noise_variance={option}") == 0
        rows = read_rows(tmp_path / "scenes.csv")
        assert list(dict.fromkeys(row["scenario"] for row in rows)) == kinds
    first, second = rows[0], rows[2]
    assert first["genie"] == second["genie"]
    assert first["n_true"] == second["n_true"]


def test_a_mixture_is_evaluated_by_its_name(tmp_path):
    arguments = ["estimators=[gamp]", "scenarios=[anything]", "n_scenes=3", "threads=1", "batch_size=3"]
    assert run_script("evaluate", *arguments, f"output={tmp_path}") == 0
    rows = read_rows(tmp_path / "scenes.csv")
    expected = [scene.position.shape[1] for scene, _ in evaluation_scenes(MIXTURES["anything"], 3, 1, seed=0)]
    assert [int(row["n_true"]) for row in rows] == expected
    assert len(set(expected)) > 1


REFUSED = {
    "scenario": ("scenarios=[paper,moon]", "scenarios: expected one of default, paper, toy, "),
    "estimator": ("estimators=[moon]", "estimators: expected one of unfolded, "),
    "scenes": ("n_scenes=0", "n_scenes must be at least 1, got 0"),
    "batch": ("batch_size=few", "batch_size must be a whole number, got 'few'"),
    "device": ("device=moon", "device must be an existing device, got moon"),
    "checkpoint": (
        "estimators=[{name: unfolded, checkpoint: /moon}]",
        "/moon: expected the folder of an exported network, found none",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    argument, message = REFUSED[case]
    assert run_script("evaluate", "estimators=[gamp]", argument) == 2
    output, error = capfd.readouterr()
    assert output == ""
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_demo_shows_all_estimators_and_the_bound(network, tmp_path, capfd):
    picture = tmp_path / "new" / "demo.png"
    arguments = ["scenario=toy", "n_scenes=2", "batch_size=2", "seed=2", f"checkpoint={network}", f"picture={picture}"]
    assert run_script("demo", *arguments) == 0
    output = capfd.readouterr().out
    assert "toy, 2 scenes (batch 2" in output
    body = output[output.rindex("─") + 1 : output.index("Means over scenes")]
    rows = [line for line in body.splitlines() if line.strip()]
    # a long name continues on the next line
    names = " ".join(re.split(r" {2,}", line.strip())[0] for line in rows)
    classic = "OG-AMP as in the paper GAMP on pixel centres OG-AMP, 40 iterations OG-AMP, converged greedy"
    assert names == f"{classic} unfolded network joint bound"
    assert "[mm]" in output
    position, phase = bound_on_average(TOY, EvaluationSettings(n_scenes=2, batch_size=2, seed=2, device="cpu"))
    assert rows[-1].split()[2:] == [f"{1e3 * position:.2f}", f"{phase:.4f}"]
    assert picture.read_bytes().startswith(PNG)


def test_bound_is_averaged_over_the_scenes_that_are_compared():
    settings = EvaluationSettings(n_scenes=3, batch_size=2, seed=4, device="cpu")
    ((scene, _),) = evaluation_scenes(TOY, 3, 3, seed=4, dtype=torch.float64)
    expected = [joint_bound(scene, index) for index in range(3)]
    position, phase = bound_on_average(TOY, settings)
    assert position == pytest.approx(sum(bound.position_rms for bound in expected) / 3)
    assert phase == pytest.approx(sum(bound.phase_rms for bound in expected) / 3)
