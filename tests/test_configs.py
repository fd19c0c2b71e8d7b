"""Every configuration under conf/ composes, and all that it names can be built."""

from __future__ import annotations

import dataclasses

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf
from places import ROOT

CONF = ROOT / "conf"
PRIMARY = sorted(path.stem for path in CONF.glob("*.yaml"))
OPTIONS = sorted(
    path.relative_to(CONF).with_suffix("") for path in CONF.glob("*/**/*.yaml") if path.parent != CONF / "hydra"
)


def compose(primary: str, overrides: list[str]) -> DictConfig:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose(primary, overrides)


def build_all(config: DictConfig) -> list[object]:
    """Everything right under the root that names a class."""
    nodes = [node for node in config.values() if isinstance(node, DictConfig)]
    return [hydra.utils.instantiate(node) for node in nodes if "_target_" in node]


def defaults_of(primary: str) -> dict[str, str | None]:
    """Groups that a primary configuration selects from, by the name under which it does."""
    entries = OmegaConf.to_container(OmegaConf.load(CONF / f"{primary}.yaml").defaults)
    return {key: value for entry in entries if isinstance(entry, dict) for key, value in entry.items()}


@pytest.fixture
def shipped_network(monkeypatch):
    """Configurations may name the shipped network, which is no part of this test."""
    monkeypatch.setattr("unfolded_ogamp.imaging.catalogue.load_pretrained", lambda folder: folder)


@pytest.mark.parametrize("name", PRIMARY)
@pytest.mark.usefixtures("shipped_network")
def test_primary_configuration_builds(name):
    config = compose(name, [])
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    build_all(config)


@pytest.mark.parametrize("name", PRIMARY)
def test_primary_configuration_belongs_to_a_script_and_is_quiet(name):
    assert (ROOT / "scripts" / f"{name}.py").is_file()
    assert defaults_of(name)["hydra"] == "quiet"


@pytest.mark.parametrize("option", OPTIONS, ids=str)
@pytest.mark.usefixtures("shipped_network")
def test_every_option_builds_wherever_it_can_be_chosen(option):
    places = [
        (primary, key)
        for primary in PRIMARY
        for key in defaults_of(primary)
        if key.split("@")[0] == option.parent.as_posix()
    ]
    assert places, "no primary configuration selects from this group"
    for primary, key in places:
        built = build_all(compose(primary, [f"{key}={option.name}"]))
        assert built


ANALYTIC = {"imaging", "synchronisation", "screening", "greedy"}  # what the layers start from


@pytest.mark.parametrize("part", ["network", "loss", "optimiser", "data", "run"])
def test_training_names_every_setting_so_that_it_can_be_overridden(part):
    node = compose("train", [])[part]
    settings = hydra.utils.instantiate(node)
    assert {field.name for field in dataclasses.fields(settings)} - ANALYTIC == set(node) - {"_target_"}
