"""A system is a contract: what it hands in to be compared, trained, exported, reproduced and used on files.

To add a system, write `unfolded_ogamp/NAME/system.py` with a `SYSTEM = System(...)`; every command then takes
`system=NAME`. What is generic knows a system through this contract alone, and no system knows another.

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
OnProgress = Callable[[int, int], None]  # called with what is done, and of how much


class Network(nn.Module):
    """Base class of the networks of all systems: built from its settings alone, and called as an estimator is.

    Attributes:
        system: name of the system it belongs to.
        settings: what it was built from.
    """

    system: ClassVar[str]
    settings: Any

    def curves(self) -> dict[str, Tensor]:
        """Value of every learned scalar along the layers, for figures."""
        return {}


@dataclass(frozen=True)
class Learning:
    """The network of a system and its training.

    Attributes:
        settings: class of the settings that a network is built from.
        network: the network of settings.
        loss_settings: class of the settings of the loss.
        loss: of one training batch, from (network, scene, measurement, loss settings, number of the batch in its
            epoch): a scalar, and its parts by name for the log.
        classic: name of the estimator that validation compares the network with.
        watched: metrics that validation logs; the first two are also on the progress bar.
        card: what the network of an exported folder is and how it is used, lines of Markdown.
        shipped: folder of the exported network that is taken unless another one is named.
        picture: estimates of one scene by name beside the truth, from (scene, estimates, index).
        adapt: a network tuned to one measurement without labels, and a sentence on it, from (network, inputs, steps).
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
    """Measurements and estimates as files. `measured` is what `read` returns.

    Attributes:
        read: a measurement file, checked, in double precision; a ValueError of one line says what is wrong with it.
        inputs: what an estimator is called with, from what was read.
        describe: one line on what was read, before the estimator runs.
        report: lines and tables of `rich` on an estimate, from (measured, estimate, warnings of the estimator).
        write: one simulated scene and its measurement, a batch of one, from (path, scene, measurement).
        write_estimate: an estimate and what it is computed with, texts by name, from (path, estimate, measured, texts).
        picture: one page on an estimate, from (measured, estimate).
    """

    read: Callable[[Path], Any]
    inputs: Callable[[Any], tuple[Any, ...]]
    describe: Callable[[Any], str]
    report: Callable[[Any, Any, Sequence[Warning]], Iterable[Any]]
    write: Callable[[Path, Any, Any], None]
    write_estimate: Callable[[Path, Any, Any, Mapping[str, str]], None]
    picture: Callable[[Any, Any], Figure]


@dataclass(frozen=True)
class StudyFigure:
    """One figure of a study.

    Attributes:
        sizes: how much is measured, by the name of the size; all figures have the same names.
        measure: rows from a size, a seed, the network (None if the system has none) and a callback on progress.
        table: the rows in Markdown.
        draw: the figure of these rows; None where a table is all.
    """

    sizes: Mapping[str, Any]
    measure: Callable[[Any, int, Any, OnProgress | None], list[Row]]
    table: Callable[[Sequence[Row]], str]
    draw: Callable[[Sequence[Row]], Figure] | None = None


@dataclass(frozen=True)
class System:
    """All parts of a system that the commands use; None for parts that it does not have.

    Attributes:
        name: of its folder.
        scenarios: frozen settings that scenes are drawn from, all of one class, by the name that is their field `name`;
            the first one is the default.
        mixtures: what networks are trained on besides scenarios, by name; the first one is the default.
        estimators: builders of the classic estimators, by name; they take the options of an entry.
        compared: entries of the estimators that are compared unless others are named.
        scoring: how estimates are judged.
        learning: the network and its loss.
        files: measurements and estimates as files.
        study: its figures by name, imported when they are asked for.
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

    def scenario(self, name: str) -> Any:
        """The scenario of a name; "default" is the first one.

        Raises:
            InputError: if there is none.
        """
        return _named(self.scenarios, name, "scenario")

    def source(self, name: str) -> Any:
        """The training distribution of a name, a mixture or a scenario; "default" is the first mixture.

        Raises:
            InputError: if there is none.
        """
        return _named({**self.mixtures, **self.scenarios}, name, "mixture")

    def the_learning(self) -> Learning:
        """The network and its training.

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
    """The system of a name, imported when it is asked for.

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
