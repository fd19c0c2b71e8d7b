"""Invalid input gives one line on stderr, exit status 2 and no file, in every command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from places import CONF, SCRIPTS
from run_script import run_script
from small_network import export_small_network

from unfolded_ogamp.commands import simulate
from unfolded_ogamp.commands.main import status
from unfolded_ogamp.imaging.files.csi import save_csi
from unfolded_ogamp.imaging.scenes.scenario import Scenario

COMMANDS = sorted(path.stem for path in CONF.glob("*.yaml"))

# Required arguments of each command; {} is the folder of the fixture.
NEEDED = {
    "check_csi": ["input={}/scene.npz"],
    "estimate": ["input={}/scene.npz", "output={}/out"],
    "export": ["checkpoint={}/none.ckpt", "output={}/out"],
    "own_data": ["folder={}", "estimators=[greedy]"],
    "reproduce": ["figure=6", "size=tiny"],
    "tune": ["estimator=matched_filter", "n_scenes=1", "n_draws=1"],
}

ANY = ["moon=1", "moon", "=", "--multirun", "-m", "+moon=1", "moon.x=1", "output=[", "system=moon", "hydra=moon", "@=1"]
SCENARIO = [
    "scenario=moon",
    "scenario.moon=1",
    "scenario=[]",
    "scenario.name=3",
    *("scenario.n_tx=0", "scenario.n_tx=few", "scenario.n_tx=1.5", "scenario.n_rx=null", "scenario.n_rx=true"),
    *(
        "scenario.pixels=7",
        "scenario.pixels=[0,0]",
        "scenario.pixels=[5]",
        "scenario.pixels=[5,x]",
        "scenario.pixel=-1",
    ),
    *("scenario.node_radius=[0.1,0.2]", "scenario.node_radius=[1]", "scenario.carrier_frequency=0"),
    *("scenario.phase_std=inf", "scenario.phase_std=nan", "scenario.phase_std=-1", "scenario.phase_model=moon"),
    *("scenario.snr_db=inf", "scenario.snr_db=loud", "scenario.sparsity=2", "scenario.missing_links=0.95"),
    *("scenario.bandwidth=1e8", "scenario.blocked_los=0.5", "scenario.subtract_los=true", "scenario.los=3"),
]
SEED = ["seed=-1", "seed=1.5", "seed=x", "seed=null"]
SCENES = ["n_scenes=0", "n_scenes=few", "n_scenes=2.5", "n_scenes=[1]", *SEED]
EVALUATION = [*SCENES, "batch_size=0", "batch_size=few", "device=moon", "device=3"]
THREADS = ["threads=0", "threads=two"]
NETWORK = [f"checkpoint={{}}/{name}" for name in ("none", "empty", "foreign", "truncated", "empty_config", "scene.npz")]
OUTPUT = ["output={}/scene.npz", "output={}/scene.npz/below", "output=null", "output={{a: 1}}"]
ESTIMATORS = [
    *("estimators=[]", "estimators=moon", "estimators=[moon]", "estimators=[greedy,greedy]", "estimators=[null]"),
    *("estimators=[{{name: greedy, blocks: 3}}]", "estimators=[{{blocks: 3}}]", "estimators=[[]]"),
    *("estimators=[{{name: gamp, blocks: 0}}]", "estimators=[{{name: unfolded, checkpoint: {}/none}}]"),
]
SCENARIOS = ["scenarios=[moon]", "scenarios=paper", "scenarios=[[paper]]", "scenarios=[3]"]
RUN = [
    *(
        "run.epochs=0",
        "run.epochs=x",
        "run.clip=0",
        "run.averaging=1",
        "run.devices=0",
        "run.moon=1",
        "run.epochs=null",
    ),
    *("data.seed=-1", "data.batch_size=0", "data.workers=-1", "data.batches_per_epoch=x", "data=3"),
    *("optimiser.learning_rate=0", "optimiser.learning_rate=inf", "optimiser.warm_up=-1", "optimiser=null"),
    *(
        "network.blocks=0",
        "network.blocks=x",
        "network.first_exit=9",
        "network.moon=1",
        "network.greedy.restarts.together=0",
    ),
    *("network.greedy=3", "loss.growth=0", "loss.moon=1"),
]

WRONG = {
    "ablate": [*SCENARIO, *EVALUATION, *THREADS, *NETWORK, *OUTPUT],
    "adaptation": [
        *(*SCENARIO, *SCENES, *THREADS, *NETWORK, *OUTPUT, "device=moon", "fallback=3", "adaptation=3"),
        *("adaptation.steps=0", "adaptation.learning_rate=0", "adaptation.moon=1", "scenario=end_to_end"),
    ],
    "check_csi": [f"input={{}}/{name}" for name in ("none.npz", "empty.npz", "text.npz", "empty", "big.npy")],
    "confidence": [*EVALUATION, *THREADS, *OUTPUT, *ESTIMATORS, *SCENARIOS],
    "demo": [*SCENARIO, *EVALUATION, *NETWORK, "picture={}/scene.npz/below.png", "picture=null"],
    "estimate": [
        *(f"input={{}}/{name}" for name in ("none.npz", "empty.npz", "text.npz", "broken.npz", "empty")),
        *(*OUTPUT, *NETWORK, "estimator=moon", "estimator=[]", "adapt=-1", "adapt=x", "adapt=1.5", "input=null"),
    ],
    "robustness": [*THREADS, *OUTPUT, *ESTIMATORS, *SCENARIO, "n_scenes=0", "seed=-1", "perturbations=[moon]"],
    "evaluate": [*EVALUATION, *THREADS, *OUTPUT, *ESTIMATORS, *SCENARIOS, "noise_variance=1", "noise_variance=moon"],
    "export": [
        f"checkpoint={{}}/{name}"
        for name in ("none.ckpt", "empty.ckpt", "text.npz", "foreign.ckpt", "cut.ckpt", "empty")
    ],
    "own_data": [*ESTIMATORS, *OUTPUT, "folder={}/none", "folder={}/empty", "folder=null", "files=3", "files=[none]"],
    "reproduce": [*SEED, *THREADS, *NETWORK, *OUTPUT, "figure=4", "figure=moon", "figure=[]", "size=huge", "size=3"],
    "simulate": [*SCENARIO, *SCENES, *OUTPUT],
    "train": [
        *RUN,
        *(argument.replace("scenario", "validation") for argument in SCENARIO if "." in argument),
        *("scenario@validation=moon", "mixture=moon", "mixture=3", "classic=moon", "experiment=moon"),
        *("run.resume={}/none.ckpt", "run.accelerator=moon", "run.output={}/scene.npz", "run.resume={}/text.npz"),
    ],
    "transfer": [
        *(*EVALUATION, *THREADS, *SCENARIOS, "scenarios=[toy,toy]", "mixture=moon", "recipe=3"),
        *(f"recipe.{argument}" for argument in RUN if "first_exit" not in argument),
        "recipe.run.output={}/scene.npz",
    ],
    "tune": [
        *(*SCENARIO, *SCENES, "n_draws=0", "n_draws=x", "estimator=moon", "estimator=greedy", "ranges=3"),
        *("+ranges.matched_filter.moon={{low: 1.0, high: 2.0}}", "ranges.matched_filter=3"),
        *("ranges.matched_filter={{imager.spacing: {{low: 2.0, high: 1.0}}}}", "ranges.matched_filter={{imager: 3}}"),
        "ranges.matched_filter={{imager.spacing: {{low: -2.0, high: -1.0}}}}",
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good files, and files that are empty, truncated, of another kind, or give numbers that are not finite."""
    folder = tmp_path_factory.mktemp("failures")
    scene = Scenario(n_tx=6, n_rx=5, pixels=(5, 5)).draw(1, torch.Generator().manual_seed(0))
    save_csi(folder / "scene.npz", *scene)
    arrays = dict(np.load(folder / "scene.npz"))
    np.savez(folder / "broken.npz", **arrays | {"rx": arrays["rx"][1:]})
    np.savez(folder / "loud.npz", **arrays | {"tx_gain": np.full(6, 1e-297)})
    np.save(folder / "big.npy", np.zeros(3))
    (folder / "text.npz").write_text("nothing of the kind")
    network = export_small_network(folder / "network")
    for name in ("foreign", "truncated", "empty_config"):
        shutil.copytree(network, folder / name)
    (folder / "empty").mkdir()
    (folder / "foreign" / "config.json").write_text(json.dumps({"a": 1}))
    (folder / "empty_config" / "config.json").write_text("")
    weights = folder / "truncated" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    for name in ("empty.npz", "empty.ckpt"):
        (folder / name).touch()
    torch.save({"a": 1}, folder / "foreign.ckpt")
    (folder / "cut.ckpt").write_bytes((folder / "foreign.ckpt").read_bytes()[:200])
    return folder


def refused(command: str, wrong: list[str], folder: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """All that a command writes to stderr."""
    arguments = [argument.format(folder) for argument in (*NEEDED.get(command, []), *wrong)]
    threads = torch.get_num_threads()
    found = status(command, arguments)
    torch.set_num_threads(threads)
    error = capfd.readouterr().err
    assert (found, error.count("\n")) == (2, 1), error
    assert len(error.strip()) > 10
    return error


def test_every_command_is_tried() -> None:
    assert sorted(WRONG) == COMMANDS == sorted(path.stem for path in SCRIPTS.glob("*.py"))


@pytest.mark.parametrize(("command", "wrong"), [(c, w) for c in COMMANDS for w in (*ANY, *WRONG[c])])
def test_refused_in_one_line(command, wrong, folder, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(folder.rglob("*"))
    refused(command, [wrong], folder, capfd)
    assert sorted(folder.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", [path.stem for path in SCRIPTS.glob("*.py")])
def test_scripts_hold_no_logic(script) -> None:
    lines = (SCRIPTS / f"{script}.py").read_text().splitlines()
    assert lines[1:] == [
        "",
        "from unfolded_ogamp.commands.main import main",
        "",
        'if __name__ == "__main__":',
        f'    main("{script}")',
    ]


def test_a_script_fails_as_its_command_does(capfd) -> None:
    assert run_script("simulate", "n_scenes=0") == 2
    assert capfd.readouterr() == ("", "n_scenes must be at least 1, got 0\n")


def test_errors_of_the_code_keep_their_traceback(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(simulate, "run", lambda *_: {}["a defect"])
    with pytest.raises(KeyError):
        status("simulate", [f"output={tmp_path}"])


def test_every_field_of_settings_can_be_set(monkeypatch) -> None:
    """All fields of a scenario, of the network, nested ones too, of loss, optimiser, data and run, without a plus."""
    found = []
    monkeypatch.setattr("unfolded_ogamp.commands.train.fit", lambda *arguments: found.append(arguments) or "last.ckpt")
    arguments = [
        "validation.bandwidth=null",
        "validation.reflectivity_spread=3",
        "network.greedy.restarts.autofocus.steps=7",
    ]
    arguments += ["loss.growth=2", "optimiser.final=0.5", "data.workers=1", "run.averaging=0.5", "mixture=toy"]
    assert status("train", arguments) == 0
    ((module, data, _, run),) = found
    assert data.validation.reflectivity_spread == 3.0
    assert data.training.name == "toy"
    assert module.network.settings.greedy.restarts.autofocus.steps == 7
    assert (module.loss.growth, module.optimiser.final, data.settings.workers, run.averaging) == (2.0, 0.5, 1, 0.5)


@pytest.mark.parametrize("estimator", ["greedy", "matched_filter", "unfolded"])
def test_no_number_that_is_not_finite_is_written(estimator, folder, tmp_path, capfd) -> None:
    """An unknown quantity has a uniform spread; an estimate that is not finite is an error."""
    arguments = [f"estimator={estimator}", f"output={tmp_path / 'out'}", "budget=1"]
    assert status("estimate", [f"input={folder / 'scene.npz'}", *arguments]) == 0
    with np.load(tmp_path / "out" / "estimate.npz") as archive:
        numbers = {key: archive[key] for key in archive.files if archive[key].dtype.kind in "fc"}
    assert len(numbers) >= 12
    assert all(np.isfinite(array).all() for array in numbers.values())
    capfd.readouterr()
    assert status("estimate", [f"input={folder / 'loud.npz'}", *arguments[::2], f"output={tmp_path / 'loud'}"]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "expected finite numbers to be written, found" in error
    assert list((tmp_path / "loud").iterdir()) == []


def _heed_interrupts() -> None:
    """A process in the background of a shell ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_command_is_one_line_and_130(tmp_path) -> None:
    command = [sys.executable, str(SCRIPTS / "simulate.py"), "scenario=toy", "n_scenes=1000000", "output=scenes"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_heed_interrupts,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "scenes/scene_0000.npz\n"
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, error) == (130, "interrupted\n")


def test_interrupted_training_is_one_line_and_130(tmp_path, monkeypatch, capfd) -> None:
    """Lightning alone would end the program with another status."""
    before = signal.getsignal(signal.SIGINT)
    loss = "unfolded_ogamp.training.module.UnfoldedModule.training_step"
    monkeypatch.setattr(loss, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    small = ["experiment=smoke", "validation.n_tx=5", "validation.n_rx=5", "mixture=toy", "data.validation_batches=1"]
    assert status("train", [*small, "run.accelerator=cpu", f"run.output={tmp_path}"]) == 130
    signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().err.splitlines()[-1] == "interrupted"
