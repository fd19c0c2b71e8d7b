"""Settings, nested frozen dataclasses, from the plain dictionary that `dataclasses.asdict` makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

SettingsType = TypeVar("SettingsType")


def settings_from_dict(kind: type[SettingsType], values: object, name: str) -> SettingsType:
    """The settings of which `asdict` made `values`; strict, as a default filled in here would be another network.

    Args:
        kind: dataclass whose fields are bool, int, float, str or such dataclasses.
        values: what a JSON file holds for it.
        name: what it is called in messages.

    Raises:
        ValueError: with one line, on a key too many or too few, or on a value of another type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{name}: expected an object, found {type(values).__name__}")
    assert is_dataclass(kind)
    known = [field.name for field in fields(kind)]
    for key in values:
        if key not in known:
            raise ValueError(f"{name}: expected only the keys {', '.join(known)}, found {key!r}")
    for key in known:
        if key not in values:
            raise ValueError(f"{name}: expected the key {key!r}, found none")
    hints = get_type_hints(kind)
    converted = {key: _convert(hints[key], values[key], f"{name}.{key}") for key in known}
    try:
        return kind(**converted)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _convert(kind: Any, value: object, name: str) -> Any:
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return settings_from_dict(kind, value, name)
    if kind not in (bool, int, float, str):
        raise TypeError(f"{name}: settings of type {kind} are not supported")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name}: expected {kind.__name__}, found {value!r}")
    return value
