"""Networks trained on one scenario each: alike but for that, tested on the same scenes, and none trained twice."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matrix_of_rows import matrix_of_rows
from rich.console import Console
from run_script import options_of, run_script

from unfolded_ogamp.commands.evaluate import EvaluationSettings
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.compare import Row, compare, summarise
from unfolded_ogamp.imaging.commands import transfer
from unfolded_ogamp.imaging.commands.transfer import Recipe, run_transfer, trained_networks, transfer_table
from unfolded_ogamp.imaging.network.loss import LossSettings
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.scenes.mixture import Component, Mixture
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SCORING
from unfolded_ogamp.pretrained import load_pretrained
from unfolded_ogamp.scenes import Source, evaluation_scenes
from unfolded_ogamp.training.datamodule import DataSettings, SceneDataModule
from unfolded_ogamp.training.module import OptimiserSettings, UnfoldedModule
from unfolded_ogamp.training.run import RunSettings

FEW = Scenario(name="few", n_tx=7, n_rx=7, pixels=(6, 6), sparsity=0.06)
NOISY = replace(FEW, name="noisy", snr_db=3.0)
MIXED = Mixture([Component(FEW, ranges={"snr_db": (3.0, 25.0)})])
ALONE = NetworkSettings(blocks=1, first_exit=1, detection_passes=1, starts=1, fallback=False)
SETTINGS = EvaluationSettings(n_scenes=2, batch_size=2, seed=0, device="cpu")


def recipe(folder: Path, steps: int = 2) -> Recipe:
    data = DataSettings(batch_size=2, batches_per_epoch=steps)
    run = RunSettings(str(folder), epochs=1, averaging=0.5, accelerator="cpu")
    return Recipe(ALONE, LossSettings(), OptimiserSettings(warm_up=1), data, run)


def run(folder: Path, *scenarios: Scenario) -> list[Row]:
    return run_transfer(scenarios, MIXED, recipe(folder), SETTINGS, Console(file=io.StringIO()))


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([value.flatten() for value in load_pretrained(folder).state_dict().values()])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    folder = tmp_path_factory.mktemp("transfer")
    return folder, run(folder, FEW, NOISY)


def test_every_network_on_every_scenario_in_one_file(done: tuple[Path, list[Row]]) -> None:
    folder, rows = done
    document = json.loads((folder / "results.json").read_text())
    networks = ["untrained", "few", "noisy", "mixture"]
    assert {name: list(found) for name, found in document["results"].items()} == {"few": networks, "noisy": networks}
    assert document["settings"]["recipe"]["data"]["batches_per_epoch"] == 2
    ((few,), (noisy,)) = (evaluation_scenes(one, 2, 2, seed=0) for one in (FEW, NOISY))
    analytic = {"untrained": UnfoldedOGAMP(ALONE)}
    expected = [
        row for scenes, name in ((few, "few"), (noisy, "noisy")) for row in compare(analytic, [scenes], name, SCORING)
    ]
    found = [row for row in rows if row.estimator == "untrained"]
    assert [(row.scenario, row.scene) for row in found] == [(row.scenario, row.scene) for row in expected]
    assert [row.metrics.phase_rmse for row in found] == [row.metrics.phase_rmse for row in expected]


def test_networks_differ_by_what_they_were_trained_on_and_by_nothing_else(
    done: tuple[Path, list[Row]], tmp_path: Path
) -> None:
    """Trained after others or alone, the weights are the same bit for bit."""
    folder, _ = done
    few, noisy, mixture = (weights(folder / name) for name in ("few", "noisy", "mixture"))
    start = torch.cat([value.flatten() for value in recipe(folder).module().network.state_dict().values()])
    for one, other in itertools.combinations((start, few, noisy, mixture), 2):
        assert not torch.equal(one, other)
    torch.manual_seed(99)
    trained_networks({"noisy": NOISY}, recipe(tmp_path), Console(file=io.StringIO()))
    assert torch.equal(weights(tmp_path / "noisy"), noisy)


def test_a_network_is_trained_once_for_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Source] = []

    def fit_quietly(
        module: UnfoldedModule, data: SceneDataModule, settings: RunSettings, on_step: Callable[[], None]
    ) -> UnfoldedOGAMP:
        del settings, on_step
        trained.append(data.training)
        return module.network

    monkeypatch.setattr(transfer, "fit_quietly", fit_quietly)
    hazy = replace(FEW, phase_std=1.0)
    for expected, sources, steps in (
        ([FEW, MIXED], {"few": FEW, "mixture": MIXED}, 2),
        ([NOISY], {"few": FEW, "noisy": NOISY, "mixture": MIXED}, 2),
        ([FEW, NOISY], {"few": FEW, "noisy": NOISY}, 3),  # another recipe
        ([hazy], {"few": hazy, "noisy": NOISY}, 3),  # another scenario of that name
    ):
        trained.clear()
        found = trained_networks(sources, recipe(tmp_path, steps), Console(file=io.StringIO()))
        assert trained == expected
        assert list(found) == list(sources)


def test_table_has_networks_as_lines_and_scenarios_as_columns() -> None:
    table = transfer_table(summarise(matrix_of_rows()))
    assert [column.header for column in table.columns] == ["trained on", "a", "b"]
    trained_on, on_a, on_b = ([str(cell) for cell in column.cells] for column in table.columns)
    assert trained_on == ["a", "b", "mixture"]
    # Wilson's intervals of n of 4
    assert on_a == ["100\n[51, 100]\n1.10", "50\n[15, 85]\n1.20", "0\n[0, 49]\n-"]
    assert on_b == ["75\n[30, 95]\n3.00", "100\n[51, 100]\n1.00", "25\n[5, 70]\n1.50"]


@pytest.mark.parametrize("twice", [FEW, replace(FEW, name="mixture"), replace(FEW, name="untrained")])
def test_a_name_stands_for_one_network(twice: Scenario, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"expected names of their own, found {twice.name} twice"):
        run(tmp_path / "new", FEW, twice)
    assert list(tmp_path.iterdir()) == []


def test_shipped_recipe_tests_networks_by_themselves() -> None:
    network = options_of("transfer").recipe.network
    assert (network.starts, network.fallback) == (1, False)


def test_unknown_scenario_is_refused_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_script("transfer", "scenarios=[paper,moon]") == 2
    output, error = capfd.readouterr()
    assert output == ""
    assert error.startswith("scenarios: expected one of default, paper, toy, ")
    assert error.count("\n") == 1
