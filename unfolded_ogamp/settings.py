"""Settings: frozen dataclasses whose annotations define the valid values of each field; the constructor checks them.

    @dataclass(frozen=True)
    class SearchSettings(Settings):
        spacing: Annotated[float, positive] = 0.25
        rounds: Annotated[int, at_least(1)] = 40
        method: Literal["alignment", "least_squares"] = "alignment"

The type is checked as well: True is no whole number, and a float is finite unless it is `unbounded`. A rule on several
fields belongs in a `__post_init__` that first calls this one.
"""

from __future__ import annotations

import functools
import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from unfolded_ogamp.errors import InputError

SettingsType = TypeVar("SettingsType")


class SettingsError(InputError):
    """An invalid value of a field of settings; the message is one line."""


@dataclass(frozen=True)
class Check:
    """A rule for the value of a field.

    Attributes:
        rule: text after "NAME must" in the message.
        holds: whether a value fulfils it.
    """

    rule: str
    holds: Callable[[Any], bool]


positive = Check("be positive", lambda value: value > 0)
not_negative = Check("not be negative", lambda value: value >= 0)
unbounded = Check("be a number", lambda value: not math.isnan(value))


def at_least(least: int) -> Check:
    """A number of at least `least`."""
    return Check(f"be at least {least}", lambda value: value >= least)


def within(interval: str) -> Check:
    """A number in an interval such as "[0, 1)"; a round bracket excludes its end."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = operator.lt if interval[0] == "(" else operator.le
    below = operator.lt if interval[-1] == ")" else operator.le
    return Check(f"lie in {interval}", lambda value: above(low, value) and below(value, high))


@dataclass(frozen=True)
class Settings:
    """Base class of all settings.

    Raises:
        SettingsError: if a value violates the annotation of its field.
    """

    def __post_init__(self) -> None:
        own: Any = type(self)
        for name, kind in _annotations(own).items():
            object.__setattr__(self, name, _checked(kind, getattr(self, name), name))


def require(condition: bool, message: str) -> None:
    """Raise unless a rule on settings holds.

    Raises:
        SettingsError: with `message`, unless `condition` holds.
    """
    if not condition:
        raise SettingsError(message)


def settings_from_dict(kind: type[SettingsType], values: object, name: str = "") -> SettingsType:
    """The settings from their `dataclasses.asdict`; every key is required, as a default may give a different network.

    Args:
        kind: dataclass, whose fields may be such dataclasses.
        values: plain values, as from a JSON file.
        name: name in messages; empty for the arguments of a command.

    Raises:
        SettingsError: with one line, on an unknown key, a missing key or an invalid value.
    """
    prefix, parent = (f"{name}: ", f"{name}.") if name else ("", "")
    require(isinstance(values, Mapping), f"{prefix}expected an object, found {type(values).__name__}")
    assert isinstance(values, Mapping)
    own: Any = kind
    hints = _annotations(own)
    for key in values:
        require(key in hints, f"{prefix}expected only the keys {', '.join(hints)}, found {key!r}")
    converted: dict[str, Any] = {}
    for key, hint in hints.items():
        require(key in values, f"{prefix}expected the key {key!r}, found none")
        convert = settings_from_dict if isinstance(hint, type) and is_dataclass(hint) else _checked
        converted[key] = convert(hint, values[key], f"{parent}{key}")
    try:
        return kind(**converted)
    except ValueError as error:
        raise SettingsError(f"{prefix}{error}") from error


def defaults_of(kind: type) -> dict[str, Any]:
    """Plain values of all fields of settings, nested ones too, for a configuration: "???" marks a required value."""
    assert is_dataclass(kind)
    values: dict[str, Any] = {}
    for name, field in kind.__dataclass_fields__.items():
        hint = _annotations(kind)[name]
        value = field.default if field.default_factory is MISSING else field.default_factory()
        if value is MISSING:
            values[name] = defaults_of(hint) if isinstance(hint, type) and is_dataclass(hint) else "???"
        else:
            values[name] = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return values


@functools.cache
def _annotations(kind: type) -> dict[str, Any]:
    """Annotations of the fields of a dataclass, in their order."""
    assert is_dataclass(kind)
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


def _checked(kind: Any, value: Any, name: str) -> Any:
    """`value` converted to the annotation `kind`: a whole number to a float, and a list to a tuple."""
    if kind is Any:
        return value
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        kind, *checks = arguments
        value = value if unbounded in checks and isinstance(value, float) else _checked(kind, value, name)
        for check in checks:
            require(check.holds(value), f"{name} must {check.rule}, got {value}")
        return value
    if origin in (Union, UnionType):
        (kind,) = (argument for argument in arguments if argument is not NoneType)
        return None if value is None else _checked(kind, value, name)
    if origin is Literal:
        require(value in arguments, f"{name} must be one of {', '.join(map(str, arguments))}, got {value!r}")
        return value
    if origin is not None and issubclass(origin, Sequence):
        return _checked_items(arguments, value, name)
    if kind in PLAIN:
        rule, holds = PLAIN[kind]
        require(holds(value), f"{name} must be {rule}, got {value!r}")
        return float(value) if kind is float else value
    kind = origin or kind
    require(isinstance(value, kind), f"{name} must be {kind.__name__}, got {value!r}")
    return value


def _checked_items(kinds: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    """A tuple of items of these types; of any number of one type, if an ellipsis follows it or it stands alone."""
    require(isinstance(value, Sequence) and not isinstance(value, str), f"{name} must be a list, got {value!r}")
    if len(kinds) == 1 or kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    require(len(value) == len(kinds), f"{name} must be a list of {len(kinds)}, got {value!r}")
    return tuple(_checked(kind, item, f"{name}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


PLAIN: dict[type, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: type(value) is int),
    float: ("a finite number", _is_finite),
    str: ("text", lambda value: isinstance(value, str)),
}
