"""Every configuration under conf/ makes the options of its command and repeats no default of the code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from places import CONF, SCRIPTS
from run_script import NEEDED, options_of

COMMANDS = sorted(path.stem for path in CONF.glob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


def named(path: Path) -> Iterator[tuple[list[str], Any]]:
    """Every value that a file names, and where; lists of defaults and files aside."""

    def leaves(node: dict[str, Any], above: list[str]) -> Iterator[tuple[list[str], Any]]:
        for key, value in node.items():
            if isinstance(value, dict):
                yield from leaves(value, [*above, key])
            elif [*above, key] not in (["defaults"], ["system"]):
                yield [*above, key], value

    content = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(content, dict)
    return leaves(content, [])


def repeated(path: Path, options: Any) -> list[str]:
    """Values of a file that are equal to the defaults of the settings."""
    found = []
    for keys, value in named(path):
        holder = options
        for key in keys[:-1]:
            holder = getattr(holder, key) if is_dataclass(holder) else None
        for field in fields(holder) if is_dataclass(holder) else ():
            if field.name == keys[-1] and field.default is not MISSING:
                same = value == (list(field.default) if isinstance(field.default, tuple) else field.default)
                found += [".".join(keys)] * same
    return found


def test_every_script_has_a_configuration():
    assert sorted(path.stem for path in SCRIPTS.glob("*.py")) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_configuration_makes_options_and_repeats_no_default(command):
    options = options_of(command, *NEEDED.get(command, []))
    assert repeated(CONF / f"{command}.yaml", options) == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_makes_options_and_repeats_no_default(name):
    options = options_of("train", f"experiment={name}")
    assert repeated(CONF / "experiment" / f"{name}.yaml", options) == []


def test_a_repeated_default_is_found(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("optimiser:\n  warm_up: 20\n  final: 0.5\nvalidation:\n  pixels: [25, 25]\nrun:\n  epochs: 11\n")
    assert repeated(path, options_of("train")) == ["optimiser.warm_up", "validation.pixels"]


@pytest.mark.parametrize(
    "argument",
    ["network.greedy.restarts.together=3", "loss.gate=0.2", "optimiser.final=0.1", "data.workers=2", "run.clip=2.0"],
)
def test_every_setting_of_training_can_be_set(argument):
    path, _, value = argument.partition("=")
    found: Any = options_of("train", argument)
    for key in path.split("."):
        found = getattr(found, key)
    assert found == float(value)
