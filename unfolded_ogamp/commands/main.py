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

    from unfolded_ogamp.system import DEFAULT, system

    wanted = [argument for argument in arguments if argument not in HELP]
    given = [argument.partition("=")[2] for argument in wanted if argument.startswith("system=")]
    chosen = system(given[-1] if given else DEFAULT)
    if len(wanted) < len(arguments):
        print(description(command, chosen, wanted), end="")
        return 0
    module, given_options = options(command, chosen, arguments)
    return module.run(chosen, given_options, Console()) or 0


def description(command: str, system: System, arguments: Sequence[str]) -> str:
    """The configuration file of a command and, if that takes values from others, all keys and values together.

    Raises:
        InputError: if an argument is not valid.
    """
    from omegaconf import OmegaConf

    from unfolded_ogamp.files import shipped

    text = (shipped("conf") / f"{command}.yaml").read_text(encoding="utf-8")
    module, kinds = _module_and_kinds(command, system)
    values = _composed(command, arguments, _schema(module, kinds, system), system.scenarios, missing=True)
    if "defaults" not in OmegaConf.create(text):
        return text
    return f"{text}\n# All keys and their values:\n\n{OmegaConf.to_yaml(values)}"


def options(command: str, system: System, arguments: Sequence[str]) -> tuple[ModuleType, Any]:
    """The module of a command, and its options.

    Raises:
        InputError: if an argument is not valid.
    """
    from unfolded_ogamp.settings import settings_from_dict

    module, kinds = _module_and_kinds(command, system)
    values = _composed(command, arguments, _schema(module, kinds, system), system.scenarios)
    values.pop("system", None)
    for key, kind in kinds.items():
        values[key] = settings_from_dict(kind, values.get(key), key)
    return module, settings_from_dict(module.Options, values)


def _module_and_kinds(command: str, system: System) -> tuple[ModuleType, Mapping[str, type]]:
    """The module of a command, and the classes of the options that depend on the system."""
    module = _module(command, system.name)
    return module, module.kinds(system) if hasattr(module, "kinds") else {}


def _schema(module: ModuleType, kinds: Mapping[str, type], system: System) -> dict[str, Any]:
    """All settings of a command with their defaults, without the scenario."""
    from unfolded_ogamp.settings import defaults_of

    schema = {key: defaults_of(kind) for key, kind in kinds.items() if kind is not system.scenario_kind}
    return schema | {key: value for key, value in defaults_of(module.Options).items() if isinstance(value, dict)}


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
    command: str,
    arguments: Sequence[str],
    schema: Mapping[str, Any],
    scenarios: Mapping[str, Any],
    missing: bool = False,
) -> dict[str, Any]:
    """The configuration of a command with the arguments applied, as plain values.

    Args:
        command: name of the configuration.
        arguments: KEY=VALUE in the syntax of Hydra.
        schema: all settings with their defaults.
        scenarios: scenarios by name, for `scenario=NAME`.
        missing: whether values may be missing; they are `???` then.
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
            override = parser.parse_override(argument)
        except HydraException:
            raise InputError(f"expected KEY=VALUE, found {argument!r}") from None
        if override.value() == "":
            raise InputError(f"{override.key_or_group}: expected a value, found nothing")
    store = ConfigStore.instance()
    store.repo.pop("scenario", None)  # scenarios of another system in the same process
    store.store(name="schema", node=dict(schema))
    default = next(iter(scenarios.values()))
    for name, scenario in {"default": default, **scenarios}.items():
        store.store(group="scenario", name=name, node=asdict(scenario))
    try:
        with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
            config = compose(command, list(arguments))
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=not missing)
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key}: expected {error.full_key}=VALUE, found none") from None
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(_first_line(error)) from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _first_line(error: Exception) -> str:
    """The message of Hydra without its advice, which does not apply here."""
    said = re.sub(r"^In '.*?': ", "", " ".join(str(error).split()))
    if unknown := re.match(r"Could not override '(.*?)'", said):
        return f"{unknown[1]}: expected a key of the configuration, which --help shows, found none of that name"
    for advice in (" To append to your config", " full_key:", " See https", " Config search path"):
        said = said.partition(advice)[0]
    if choice := re.match(r"Could not find '(.*)/(.*?)' Available options in '.*?': (.*)", said):
        group, found, known = choice.groups()
        return f"{group}: expected one of {', '.join(known.split())}, found {found!r}"
    return said
