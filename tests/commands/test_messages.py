"""What commands say: the message on a wrong argument, word by word, and --help."""

from __future__ import annotations

from dataclasses import fields

import pytest
from omegaconf import OmegaConf
from places import CONF

from unfolded_ogamp.commands.main import status
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.settings import defaults_of
from unfolded_ogamp.training.run import RunSettings

# Arguments of a command, {} being a folder with text in a.npz, and the start of the message.
MESSAGES = {
    "simulate moon=1": "moon: expected a key of the configuration, which --help shows, found none of that name\n",
    "simulate +moon=1": "expected only the keys scenario, n_scenes, seed, output, found 'moon'\n",
    "simulate moon": "expected KEY=VALUE, found 'moon'\n",
    "simulate --seed 1": "expected KEY=VALUE, found '--seed'\n",
    "simulate output=[": "expected KEY=VALUE, found 'output=['\n",
    "simulate output=": "output: expected a value, found nothing\n",
    "simulate system=moon": "system: expected one of imaging, found 'moon'\n",
    "simulate scenario=moon": "scenario: expected one of blind, blind_10, blind_10_wide, ",
    "simulate scenario.n_tx=few": "scenario.n_tx must be a whole number, got 'few'\n",
    "simulate scenario.phase_std=inf": "scenario.phase_std must be a finite number, got inf\n",
    "estimate input=???": "input: expected input=VALUE, found none\n",
    "evaluate estimators=[moon]": "estimators: expected one of unfolded, ",
    "evaluate scenarios=[moon]": "scenarios: expected one of default, paper, ",
    "export checkpoint={}/a.npz output={}/b": "{}/a.npz: expected a checkpoint of scripts/train.py, found another "
    "file\n",
    "train classic=moon": "classic: expected one of unfolded, ",
    "train experiment=smok": "experiment: expected one of smoke, found 'smok'\n",
    "train experiment=smoke run.output={}/a.npz/b": "run.output: expected a folder that can be written, found not a "
    "directory: {}/a.npz/b\n",
}


@pytest.mark.parametrize("arguments", MESSAGES)
def test_messages_name_what_was_expected_and_found(arguments, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npz").write_text("nothing of the kind")
    command, *rest = arguments.format(*[tmp_path] * 2).split()
    assert status(command, rest) == 2
    message = capfd.readouterr().err
    assert message.startswith(MESSAGES[arguments].format(tmp_path))
    assert message.count("\n") == 1


def test_help_shows_the_configuration(capfd) -> None:
    assert status("estimate", ["--help"]) == 0
    assert capfd.readouterr().out == (CONF / "estimate.yaml").read_text()


def test_help_shows_all_keys_with_their_values(capfd) -> None:
    assert status("train", ["experiment=smoke", "network.layers=3", "--help"]) == 0
    file, _, values = capfd.readouterr().out.partition("\n# All keys and their values:\n")
    assert file == (CONF / "train.yaml").read_text()
    shown = OmegaConf.create(values)
    assert shown.network == defaults_of(NetworkSettings) | {"blocks": 3, "layers": 3}
    assert shown.validation.n_tx == 12
    assert set(shown.run) == {field.name for field in fields(RunSettings)}
