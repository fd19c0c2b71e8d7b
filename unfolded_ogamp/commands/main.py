"""The frame of every command: read the configuration, run the command, return the exit status.

A command is a module of `unfolded_ogamp.commands`, or of the folder `commands` of its system, with the name of its
script and of its configuration. It holds

    Options                         frozen settings: keys of the configuration and their types
    kinds(system)                   optional: classes of those options that depend on the system
    run(system, options, console)   runs the command; returns the exit status, or None for 0

Errors of the user end in one line on stderr and status 2, Ctrl-C in one line and status 130. A traceback is a bug of
this package.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from unfolded_ogamp.errors import InputError

if TYPE_CHECKING:
    from unfolded_ogamp.system import System

HELP = ("-h", "--help")


def main(command: str) -> NoReturn:
    """Run a command with the arguments of this process, and exit with its status."""
    sys.exit(status(command, sys.argv[1:]))


def status(command: str, arguments: Sequence[str]) -> int:
    """Run a command and return its exit status."""
    try:
        return _run(command, arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (InputError, OSError) as error:
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 2


def _run(command: str, arguments: Sequence[str]) -> int:
    from rich.console import Console

    from unfolded_ogamp.files import shipped
    from unfolded_ogamp.system import DEFAULT, system

    if any(argument in HELP for argument in arguments):
        print((shipped("conf") / f"{command}.yaml").read_text(encoding="utf-8"), end="")
        return 0
    given = [argument.partition("=")[2] for argument in arguments if argument.startswith("system=")]
    handed_in = system(given[-1] if given else DEFAULT)
    module, given_options = options(command, handed_in, arguments)
    return module.run(handed_in, given_options, Console()) or 0


def options(command: str, system: System, arguments: Sequence[str]) -> tuple[ModuleType, Any]:
    """The module of a command, and its options.

    Raises:
        InputError: if an argument is not valid.
    """
    from unfolded_ogamp.settings import defaults_of, settings_from_dict

    module = _module(command, system.name)
    kinds: Mapping[str, type] = module.kinds(system) if hasattr(module, "kinds") else {}
    schema = {key: defaults_of(kind) for key, kind in kinds.items() if kind is not system.scenario_kind}
    schema |= {key: value for key, value in defaults_of(module.Options).items() if isinstance(value, dict)}
    values = _composed(command, arguments, schema, system.scenarios)
    values.pop("system", None)
    for key, kind in kinds.items():
        values[key] = settings_from_dict(kind, values.get(key), key)
    return module, settings_from_dict(module.Options, values)


def _module(command: str, system: str) -> ModuleType:
    """The module of a command, generic or of a system."""
    for package in ("unfolded_ogamp.commands", f"unfolded_ogamp.{system}.commands"):
        name = f"{package}.{command}"
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    raise InputError(f"system: expected one that has the command {command}, found {system}")


def _composed(
    command: str, arguments: Sequence[str], schema: Mapping[str, Any], scenarios: Mapping[str, Any]
) -> dict[str, Any]:
    """The configuration of a command with the arguments applied, as plain values.

    Args:
        command: name of the configuration.
        arguments: KEY=VALUE in the syntax of Hydra.
        schema: all settings with their defaults.
        scenarios: scenarios by name, for `scenario=NAME`.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import MissingMandatoryValue, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from unfolded_ogamp.files import shipped

    parser = OverridesParser.create()
    for argument in arguments:
        try:
            parser.parse_override(argument)
        except HydraException as error:
            raise InputError(f"{argument}: expected KEY=VALUE, found {_first_line(error)}") from None
    store = ConfigStore.instance()
    store.repo.pop("scenario", None)  # scenarios of another system in the same process
    store.store(name="schema", node=dict(schema))
    default = next(iter(scenarios.values()))
    for name, scenario in {"default": default, **scenarios}.items():
        store.store(group="scenario", name=name, node=asdict(scenario))
    try:
        with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
            config = compose(command, list(arguments))
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key}: expected {error.full_key}=VALUE, found none") from None
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(_first_line(error)) from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _first_line(error: Exception) -> str:
    """The message of Hydra without its advice, which does not apply here."""
    said = " ".join(str(error).split())
    if unknown := re.match(r"Could not override '(.*?)'", said):
        return f"{unknown[1]}: expected a key of the configuration, which --help shows, found none of that name"
    for advice in (" To append to your config", " full_key:", " See https", " Config search path"):
        said = said.partition(advice)[0]
    return re.sub(r"^In '.*?': ", "", said)
