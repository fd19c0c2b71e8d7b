"""A system is a contract: the parts that it provides for comparison, training, export, reproduction and files.

To add a system, write `unfolded_ogamp/NAME/system.py` with a `SYSTEM = System(...)`; every command then takes
`system=NAME`. Generic code uses a system through this contract only, and no system imports another.

The scenes of a system and their measurements are frozen `Record`s, its scenarios and settings frozen dataclasses of
`Settings`. Its networks are `Network`s: before training they are the analytic estimator that their layers call.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.compare import Estimator
from unfolded_ogamp.evaluation.scoring import Scoring
from unfolded_ogamp.scenes import Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT = "imaging"
Row = dict[str, float | str]  # of a study: labels and numbers
OnProgress = Callable[[int, int], None]  # called with the numbers of steps done and to do


class Network(nn.Module):
    """Base class of the networks of all systems: built from its settings alone, and called like an estimator.

    Attributes:
        system: name of the system it belongs to.
        settings: settings of the network.
    """

    system: ClassVar[str]
    settings: Any

    def curves(self) -> dict[str, Tensor]:
        """Value of every learned scalar along the layers, for figures."""
        return {}


@dataclass(frozen=True)
class Learning:
    """The network of a system, its loss and its use.

    Attributes:
        settings: class of the settings that a network is built from.
        network: builder of a network from its settings.
        loss_settings: class of the settings of the loss.
        loss: of one training batch, from (network, scene, measurement, loss settings, number of the batch in its
            epoch): a scalar, and its parts by name for the log.
        classic: name of the estimator that validation compares the network with.
        watched: metrics that validation logs; the first two are also on the progress bar.
        card: description and use of an exported network, lines of Markdown.
        shipped: default folder of an exported network.
        picture: figure of estimates of one scene, by name, and the truth, from (scene, estimates, index).
        adapt: a network adapted to one measurement without labels, and a sentence on it, from (network, inputs, steps).
    """

    settings: type
    network: Callable[[Any], Network]
    loss_settings: type
    loss: Callable[[Any, Any, Any, Any, int], tuple[Tensor, dict[str, Tensor]]]
    classic: str
    watched: tuple[str, ...]
    card: Callable[[Any], Sequence[str]]
    shipped: Path | None = None
    picture: Callable[[Any, Mapping[str, Any], int], Figure] | None = None
    adapt: Callable[[Any, tuple[Any, ...], int], tuple[Network, str]] | None = None


@dataclass(frozen=True)
class Files:
    """Measurements and estimates as files. `measured` is the result of `read`, then that of `examine`.

    Attributes:
        read: checked contents of a measurement file in double precision; an error is a ValueError of one line.
        inputs: arguments of an estimator, from `measured`.
        describe: one line on `measured`, printed before the estimator runs.
        report: lines and tables of `rich` on an estimate, from (measured, estimate, warnings of the estimator).
        write: one simulated scene and its measurement, a batch of one, from (path, scene, measurement).
        write_estimate: an estimate and its origin, texts by name, from (path, estimate, measured, texts).
        picture: one page on an estimate, from (measured, estimate).
        examine: `measured` as an estimator takes it, and what is to be said about it before any fit, one line each,
            from (measured, whether it is to be synchronised); None if there is nothing to examine or synchronise.
        limited: an estimator whose search ends after some time, from (estimator, seconds, callback with the numbers of
            starts and seconds so far); None if no estimator searches.
    """

    read: Callable[[Path], Any]
    inputs: Callable[[Any], tuple[Any, ...]]
    describe: Callable[[Any], str]
    report: Callable[[Any, Any, Sequence[Warning]], Iterable[Any]]
    write: Callable[[Path, Any, Any], None]
    write_estimate: Callable[[Path, Any, Any, Mapping[str, str]], None]
    picture: Callable[[Any, Any], Figure]
    examine: Callable[[Any, bool], tuple[Any, Sequence[str]]] | None = None
    limited: Callable[[Estimator, float, Callable[[int, float], None]], Estimator] | None = None


@dataclass(frozen=True)
class StudyFigure:
    """One figure of a study.

    Attributes:
        sizes: amounts of measurement by name; all figures have the same names.
        measure: rows from a size, a seed, the network (None if the system has none) and a callback on progress.
        table: the rows in Markdown.
        draw: the figure of these rows; None if there is only a table.
    """

    sizes: Mapping[str, Any]
    measure: Callable[[Any, int, Any, OnProgress | None], list[Row]]
    table: Callable[[Sequence[Row]], str]
    draw: Callable[[Sequence[Row]], Figure] | None = None


@dataclass(frozen=True)
class System:
    """The parts that one system provides; None marks a part that it does not have yet.

    Attributes:
        name: of its folder.
        scenarios: distributions of scenes, settings of one class, by their field `name`; the first is the default.
        mixtures: mixtures of scenarios for training and evaluation, by their field `name`; the first one is the
            default of training.
        estimators: builders of the classic estimators, by name; their parameters are the options of an entry.
        compared: entries of the estimators that are compared by default.
        scoring: metrics of estimates, and how they are reported.
        learning: the network and its loss.
        files: measurements and estimates as files.
        study: its figures by name, imported on demand.
    """

    name: str
    scenarios: Mapping[str, Source[Any, Any]]
    estimators: Mapping[str, Callable[..., Estimator]]
    compared: tuple[Any, ...]
    scoring: Scoring
    mixtures: Mapping[str, Source[Any, Any]] = field(default_factory=dict)
    learning: Learning | None = None
    files: Files | None = None
    study: Callable[[], Mapping[str, StudyFigure]] | None = None

    @property
    def scenario_kind(self) -> type:
        """Class of the scenarios."""
        return type(self.scenario("default"))

    def scenario(self, name: str, key: str = "scenario") -> Any:
        """The scenario of a name; "default" is the first one. Messages name the `key` that holds the name.

        Raises:
            InputError: if there is none.
        """
        return _named(self.scenarios, name, key)

    def evaluated(self, name: str) -> Any:
        """A scenario or a mixture for evaluation; "default" is the first scenario.

        Raises:
            InputError: if there is none.
        """
        return _named({**self.scenarios, **self.mixtures}, name, "scenarios")

    def source(self, name: str) -> Any:
        """A mixture or a scenario for training; "default" is the first mixture.

        Raises:
            InputError: if there is none.
        """
        return _named({**self.mixtures, **self.scenarios}, name, "mixture")

    def the_learning(self) -> Learning:
        """The network, its loss and its use.

        Raises:
            InputError: if the system has no network.
        """
        return self._part(self.learning, "network")

    def the_files(self) -> Files:
        """Measurements and estimates as files.

        Raises:
            InputError: if the system has none.
        """
        return self._part(self.files, "files")

    def the_study(self) -> Mapping[str, StudyFigure]:
        """The figures by name.

        Raises:
            InputError: if the system has none.
        """
        return self._part(self.study, "study")()

    def _part(self, part: Any, what: str) -> Any:
        if part is None:
            raise InputError(f"system: expected one that has a {what}, found {self.name}, which has none yet")
        return part


def system(name: str) -> System:
    """The system of a name, imported on demand.

    Raises:
        InputError: if there is none.
    """
    module = f"{__package__}.{name}.system"
    try:
        found: System = importlib.import_module(module).SYSTEM
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise InputError(f"system: expected one of {', '.join(names())}, found {name!r}") from None
    return found


def names() -> list[str]:
    """Names of the systems of this package."""
    package = Path(__file__).parent
    folders = (module.name for module in pkgutil.iter_modules([str(package)]) if module.ispkg)
    return [name for name in folders if (package / name / "system.py").is_file()]


def _named(known: Mapping[str, Any], name: str, what: str) -> Any:
    if name == "default":
        return next(iter(known.values()))
    if name not in known:
        raise InputError(f"{what}: expected one of default, {', '.join(known)}, found {name!r}")
    return known[name]
