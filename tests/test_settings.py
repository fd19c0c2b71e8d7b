"""Settings refuse invalid values: every field of every class, by a table written by hand."""

from __future__ import annotations

import importlib
import math
import pkgutil
import typing
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Annotated, Any, Literal

import pytest
from refused_values import FREE, OPTIONS, REFUSED
from run_script import NEEDED, options_of

import unfolded_ogamp
from unfolded_ogamp.imaging.network.adaptation import AdaptationSettings
from unfolded_ogamp.imaging.network.loss import LossSettings
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.scenes.mixture import Component
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.settings import Settings, SettingsError, at_least, positive, within
from unfolded_ogamp.training.datamodule import DataSettings
from unfolded_ogamp.training.module import OptimiserSettings
from unfolded_ogamp.training.run import RunSettings

# Values of fields that have no default.
REQUIRED: dict[str, dict[str, Any]] = {
    "AdaptationStudy": {
        "n_scenes": 1,
        "seed": 0,
        "device": "cpu",
        "fallback": False,
        "adaptation": AdaptationSettings(),
    },
    "EvaluationSettings": {"n_scenes": 1, "batch_size": 1, "seed": 0, "device": "cpu"},
    "Range": {"low": 1.0, "high": 2.0},
    "TuningSettings": {"n_draws": 1, "n_scenes": 1, "seed": 0},
    "Component": {"scenario": Scenario()},
    "LinkGains": {"gain_std": 2.0, "phase_std": 0.25},
    "OutlierLinks": {"share": 0.2},
    "EstimationSettings": {"adapt": 0, "synchronise": False, "budget": 60.0},
    "Mixture": {"components": [Component(Scenario())]},
    "Recipe": {
        "network": NetworkSettings(),
        "loss": LossSettings(),
        "optimiser": OptimiserSettings(),
        "data": DataSettings(),
        "run": RunSettings("outputs", 1),
    },
    "RunSettings": {"output": "outputs", "epochs": 1},
    "Size": {"n_scenes": 1},
}


def all_settings() -> list[type[Settings]]:
    """Every class of settings in the package; all extras must be installed."""
    for module in pkgutil.walk_packages(unfolded_ogamp.__path__, "unfolded_ogamp."):
        importlib.import_module(module.name)

    def below(kind: type) -> Iterator[type[Settings]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    found = {kind for kind in below(Settings) if kind.__module__.startswith("unfolded_ogamp.")}
    return sorted(found, key=lambda kind: (kind.__name__, kind.__module__))


KINDS = all_settings()
FIELDS = [(kind, field.name) for kind in KINDS for field in fields(kind) if field.init]


def title(value: Any) -> str:
    return value if isinstance(value, str) else f"{value.__module__.split('.')[-1]}.{value.__name__}"


def example(kind: type[Settings]) -> Settings:
    if kind.__name__ == "Options":
        command = kind.__module__.split(".")[-1]
        return options_of(command, *NEEDED.get(command, []))
    return kind(**REQUIRED.get(kind.__name__, {}))


def refused(kind: type[Settings], name: str) -> tuple[Any, ...]:
    return OPTIONS.get(name, FREE) if kind.__name__ == "Options" else REFUSED[kind.__name__][name]


def of_another_type(kind: type[Settings], name: str) -> tuple[Any, ...]:
    """Values of another type, which a field must refuse."""
    hint = typing.get_type_hints(kind)[name]
    optional = type(None) in typing.get_args(hint)
    plain = typing.get_args(hint)[0] if optional else hint
    if plain is Any:
        return ()
    values = {
        float: (True, "1", math.nan, [1.0]),
        int: (True, 2.5, 2.0, "2", math.inf),
        bool: (1, "yes"),
        str: (1, ["a"]),
    }.get(plain, (object(), 1, "moon"))
    return values if optional else (*values, None)


@pytest.mark.parametrize("kind", KINDS, ids=title)
def test_every_field_is_in_the_table(kind):
    if kind.__name__ != "Options":
        assert set(REFUSED[kind.__name__]) == {field.name for field in fields(kind) if field.init}


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=title)
def test_field_refuses_what_it_cannot_hold(kind, name):
    settings = example(kind)
    for value in (*refused(kind, name), *of_another_type(kind, name)):
        with pytest.raises(SettingsError) as refusal:
            replace(settings, **{name: value})
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", KINDS, ids=title)
def test_defaults_are_of_the_type_that_is_annotated(kind):
    """The check of a default does not convert it, as it would convert 1 for a float."""
    for field in fields(kind):
        if field.default is not MISSING:
            assert type(getattr(example(kind), field.name)) is type(field.default)


@dataclass(frozen=True)
class Inner(Settings):
    share: Annotated[float, within("(0, 1]")] = 0.5


@dataclass(frozen=True)
class Example(Settings):
    steps: Annotated[int, at_least(2)] = 2
    size: Annotated[float, positive] | None = None
    method: Literal["fast", "exact"] = "fast"
    pair: tuple[float, float] = (0.0, 1.0)
    items: Sequence[Inner] = ()
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 1}, "steps must be at least 2, got 1"),
        ({"steps": True}, "steps must be a whole number, got True"),
        ({"size": -1}, "size must be positive, got -1.0"),
        ({"size": math.inf}, "size must be a finite number, got inf"),
        ({"size": 10**400}, "size must be a finite number, got 1"),
        ({"method": "slow"}, "method must be one of fast, exact, got 'slow'"),
        ({"pair": (1.0,)}, "pair must be a list of 2, got (1.0,)"),
        ({"pair": "ab"}, "pair must be a list, got 'ab'"),
        ({"pair": (1.0, "b")}, "pair[1] must be a finite number, got 'b'"),
        ({"items": [Inner(), 3]}, "items[1] must be Inner, got 3"),
        ({"inner": 0.5}, "inner must be Inner, got 0.5"),
    ],
)
def test_message_names_field_rule_and_value(values, message):
    with pytest.raises(SettingsError) as refusal:
        Example(**values)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("(0, 1]", (1e-300, 1.0), (0.0, 1.1)),
        ("[0, 1)", (0.0, 0.9), (-1e-300, 1.0)),
    ],
)
def test_ends_of_an_interval(interval, inside, outside):
    check = within(interval)
    assert all(check.holds(value) for value in inside)
    assert not any(check.holds(value) for value in outside)


def test_values_become_what_the_annotation_says():
    settings = Example(size=3, pair=[1, 2], items=[Inner()])
    assert (type(settings.size), settings.pair, settings.items) == (float, (1.0, 2.0), (Inner(),))
