"""Effects of adaptation are measured scene by scene, on scenes with the named mismatches."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from run_script import run_script
from small_network import DETAILS, small_network
from test_tune_command import METRICS

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.compare import Row
from unfolded_ogamp.export import export_network
from unfolded_ogamp.imaging.commands import adaptation
from unfolded_ogamp.imaging.commands.adaptation import (
    ADAPTED,
    NETWORK,
    AdaptationStudy,
    changes_table,
    estimators,
    means_table,
    mismatches,
)
from unfolded_ogamp.imaging.network.adaptation import AdaptationSettings
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.scenario import Scenario

TINY = Scenario(name="tiny", n_tx=8, n_rx=8, pixels=(4, 4), sparsity=0.1)
STUDY = AdaptationStudy(1, 0, "cpu", fallback=False, adaptation=AdaptationSettings())


def rows_of(name: str, chamfer: list[float]) -> list[Row]:
    return [
        Row("tiny", scene, name, replace(METRICS, chamfer=value, residual=1.0 + value), 0.5, 1, 1)
        for scene, value in enumerate(chamfer)
    ]


def test_changes_are_of_the_same_scene() -> None:
    """Means that differ by chance between scenes do not widen the interval of a change that is the same for all."""
    before, after = rows_of(NETWORK, [0.001, 0.5, 0.1]), rows_of(ADAPTED, [0.003, 0.502, 0.102])
    rows = [*before, *reversed(after), *rows_of("greedy", [0.0, 0.0, 0.0])]
    header, _, line = changes_table(rows).splitlines()
    cells = dict(zip(header.strip("| ").split(" | "), line.strip("| ").split(" | "), strict=True))
    assert cells == {
        "scenes": "tiny",
        "n": "3",
        "change of success [%]": "0.0 [0.0, 0.0]",
        "change of chamfer [mm]": "2.00 [2.00, 2.00]",
        "change of phase error [rad]": "0.0000 [0.0000, 0.0000]",
        "change of residual over noise": "0.002 [0.002, 0.002]",
    }
    _, _, *lines = means_table(rows).splitlines()
    assert [line.split(" | ")[1] for line in lines] == [NETWORK, ADAPTED, "greedy"]
    assert "| 202.33 [" in lines[1]


def test_mismatched_scenes_have_equal_assumptions_and_different_csi() -> None:
    study = replace(STUDY, n_scenes=2, seed=4)
    found = {name: list(batches) for name, batches in mismatches(TINY, study).items()}
    assert list(found) == ["tiny", "tiny, loss exponent", "tiny, node positions", "tiny, two in a pixel"]
    for index in range(2):
        batches = [found[name][index] for name in found]
        assumed = batches[0][0].array.tx
        assert len(assumed) == 1
        assert all(torch.equal(scene.assumed_array.tx, assumed) for scene, _ in batches)
        assert len({csi.value.abs().sum().item() for _, csi in batches}) == 4


def test_fallback_is_as_chosen() -> None:
    for fallback in (False, True):
        study = replace(STUDY, fallback=fallback, adaptation=AdaptationSettings(steps=3))
        found = estimators(small_network(), study)
        assert found[NETWORK].settings.fallback is fallback
        assert found[ADAPTED].network is found[NETWORK]
        assert found[ADAPTED].settings.steps == 3


def test_band_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="scenario wide: a mismatch needs a scenario without bandwidth"):
        mismatches(replace(TINY, name="wide", los=True, bandwidth=1e8), STUDY)


def test_tables_and_files_from_the_command_line(tmp_path, monkeypatch, capfd) -> None:
    """With something quick in place of greedy."""
    monkeypatch.setattr(adaptation, "GreedyEstimator", lambda: AlternatingEstimator(PRESETS["gamp"]()))
    settings = NetworkSettings(
        blocks=1, first_exit=1, detection_passes=0, joint_layers=1, final_layers=1, prunings=0, width=0, starts=1
    )
    network = tmp_path / "network"
    export_network(UnfoldedOGAMP(settings), network, DETAILS)
    tiny = ["scenario=toy", "scenario.n_tx=8", "scenario.n_rx=8", "scenario.pixels=[4,4]", "n_scenes=1", "threads=1"]
    output = tmp_path / "new"
    assert run_script("adaptation", *tiny, "adaptation.steps=1", f"checkpoint={network}", f"output={output}") == 0
    tables = (output / "adaptation.md").read_text()
    assert tables.count("\n|") == 2 + 12 + 2 + 4 - 1
    assert tables.split("\n\n")[1].strip() in capfd.readouterr().out
    document = json.loads((output / "results.json").read_text())
    assert document["settings"]["adaptation"] == {"steps": 1, "learning_rate": 0.01}
    assert document["settings"]["fallback"] is False
    assert len(document["results"]) == 4
