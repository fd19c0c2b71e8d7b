"""Estimate from a measurement file; write an estimate file and a picture."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from rich.console import Console

from unfolded_ogamp.catalogue import build_estimator, names, parse_entry
from unfolded_ogamp.commands.running import make_folder, progress_bar, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.compare import Estimator
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.provenance import hashes, provenance
from unfolded_ogamp.settings import Settings, at_least, positive
from unfolded_ogamp.system import Files, Network, System


@dataclass(frozen=True)
class EstimationSettings(Settings):
    """How an estimator runs on one measurement.

    Attributes:
        adapt: gradient steps that adapt a network to this measurement; 0 for none.
        synchronise: synchronise the clocks in the measurement first.
        budget: time after which a search for a better fit ends, [s].
    """

    adapt: Annotated[int, at_least(0)]
    synchronise: bool
    budget: Annotated[float, positive]

    @property
    def estimation(self) -> EstimationSettings:
        """These settings without the options of a command."""
        return EstimationSettings(self.adapt, self.synchronise, self.budget)


@dataclass(frozen=True, kw_only=True)
class Options(EstimationSettings):
    """See `conf/estimate.yaml`."""

    input: str
    output: str
    estimator: str | None
    checkpoint: str | None


def run(system: System, options: Options, console: Console) -> None:
    """Estimate from a measurement file with the chosen estimator."""
    name = names(system)[0] if options.estimator is None else options.estimator
    estimator = build_estimator(system, parse_entry({"name": name, "checkpoint": options.checkpoint}))
    run_estimate(system, Path(options.input), Path(options.output), estimator, options.estimation, console)


def run_estimate(
    system: System,
    input_path: Path,
    output: Path,
    estimator: Estimator,
    settings: EstimationSettings,
    console: Console,
) -> None:
    """Estimate from `input_path` in double precision, write `output`/estimate.npz and .png and print a summary.

    Args:
        system: system of the file and the estimator.
        input_path: measurement file.
        output: folder to write.
        estimator: classic estimator or network.
        settings: adaptation, synchronisation and time.
        console: where the summary is printed.

    Raises:
        InputError: if the file cannot be used, the estimator cannot use it or cannot be adapted, the estimate is not
            finite, or the folder cannot be written.
    """
    files = system.the_files()
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        measured = files.read(input_path)
    for note in notes:
        show(console, f"Note: {note.message}")
    show(console, files.describe(measured))
    measured = _examined(files, measured, settings.synchronise, input_path, console)
    inputs = files.inputs(measured)
    origin = _origin(estimator, settings)
    if settings.adapt:
        estimator = _adapted(system, estimator, settings.adapt, inputs, console)
    try:
        with torch.inference_mode(), warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            estimate = _within_budget(files, estimator, inputs, settings.budget, console)
    except ValueError as error:
        raise InputError(f"{input_path}: {error}") from error
    picture = io.BytesIO()
    files.picture(measured, estimate).savefig(picture, format="png", dpi=120)
    make_folder(output)
    try:
        files.write_estimate(output / "estimate.npz", estimate, measured, origin)
    except ValueError as error:
        raise InputError(f"{input_path}: {error}") from error
    with written_at_once(output / "estimate.png") as path:
        path.write_bytes(picture.getvalue())
    for line in files.report(measured, estimate, [_message(note) for note in notes]):
        show(console, line) if isinstance(line, str) else console.print(line)
    for name in ("estimate.npz", "estimate.png"):
        show(console, output / name)


def _within_budget(
    files: Files, estimator: Estimator, inputs: tuple[Any, ...], seconds: float, console: Console
) -> Any:
    """The estimate; a bar shows the time and the starts if the estimator searches for a better fit."""
    if files.limited is None:
        return estimator(*inputs)
    with progress_bar(console) as progress:
        task = progress.add_task("", total=round(seconds), visible=False)

        def report(starts: int, elapsed: float) -> None:
            text = f"{starts} starts; seconds"
            progress.update(task, completed=min(round(elapsed), round(seconds)), description=text, visible=True)

        return files.limited(estimator, seconds, report)(*inputs)


def _examined(files: Files, measured: Any, synchronise: bool, input_path: Path, console: Console) -> Any:
    """The measurement as an estimator takes it; what is to be said about it is printed."""
    if files.examine is None:
        if synchronise:
            raise InputError("synchronise: expected false for a system without synchronisation, found true")
        return measured
    try:
        measured, lines = files.examine(measured, synchronise)
    except ValueError as error:
        raise InputError(f"{input_path}: {error}") from error
    for line in lines:
        show(console, f"Note: {line}.")
    return measured


def _adapted(system: System, estimator: Estimator, steps: int, inputs: tuple[Any, ...], console: Console) -> Estimator:
    """The network adapted to the inputs; a sentence on the result is printed."""
    adapt = None if system.learning is None else system.learning.adapt
    if adapt is None:
        raise InputError(f"adapt: expected 0 for {system.name}, which has no adaptation, found {steps}")
    if not isinstance(estimator, Network):
        raise InputError(f"adapt: expected 0 for an estimator that is no network, found {steps}")
    network, sentence = adapt(estimator, inputs, steps)
    show(console, sentence)
    return network


def _origin(estimator: Estimator, how: EstimationSettings) -> dict[str, str]:
    """Origin of an estimate, for its file: estimator, hash of the weights before adaptation, versions, commit."""
    settings = getattr(estimator, "settings", None)
    origin = {
        "estimator": type(estimator).__name__,
        "settings": json.dumps(asdict(settings)) if isinstance(settings, Settings) else "",
        "weights_sha256": hashes({"": estimator}).get("", ""),
        **{key: str(value) for key, value in asdict(how).items()},
    }
    return origin | {key: value or "" for key, value in provenance().items()}


def _message(note: warnings.WarningMessage) -> Warning:
    return note.message if isinstance(note.message, Warning) else UserWarning(note.message)
