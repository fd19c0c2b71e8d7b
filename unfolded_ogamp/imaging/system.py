"""Imaging as a system: all parts that the commands use, see `unfolded_ogamp.system`.

Functions that need matplotlib or rich import them when called, so that networks load and estimate without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unfolded_ogamp.evaluation.compare import Estimator
from unfolded_ogamp.files import read_npz
from unfolded_ogamp.imaging.catalogue import CLASSIC
from unfolded_ogamp.imaging.diagnosis.examination import Examined, examine
from unfolded_ogamp.imaging.diagnosis.units import suspicion
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.files.arrays import KEYS, REQUIRED, CsiFile
from unfolded_ogamp.imaging.files.csi import CsiFileError, load_csi, save_csi
from unfolded_ogamp.imaging.files.estimate import save_estimate
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.greedy.persistence import Budget
from unfolded_ogamp.imaging.network.adaptation import AdaptationSettings, adapted
from unfolded_ogamp.imaging.network.loss import LossSettings, batch_loss
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.scenes.named import MIXTURES, SCENARIOS
from unfolded_ogamp.imaging.score import SCORING
from unfolded_ogamp.physics import Scene
from unfolded_ogamp.pretrained import SHIPPED
from unfolded_ogamp.system import Files, Learning, StudyFigure, System

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_STARTS = 10**6  # of one file: its budget is time


def card(network: UnfoldedOGAMP) -> list[str]:
    """The lines of the model card that describe a network and its use."""
    settings = network.settings
    return [
        "# Unfolded OG-AMP",
        "",
        "Estimates where the scatterers are and the phase of every node from the CSI of a distributed array.",
        f"{settings.blocks} blocks of {settings.layers} imaging layers and one synchronisation layer on the active "
        f"candidates, then {len(network.refinement.layers)} joint layers on scatterers and node phases together, "
        "with learned scalars that depend on neither geometry nor counts, and a small network that decides which "
        "scatterers stay. If the residual exceeds the noise, the network restarts from other phases, up to "
        f"{settings.starts} starts in all. Position errors are over the matched scatterers.",
        "",
        "```python",
        "from unfolded_ogamp import load_pretrained",
        "from unfolded_ogamp.imaging import load_csi",
        "",
        'file = load_csi("scene.npz")',
        'estimate = load_pretrained("path/to/this/folder")(file.csi, file.array, file.grid)',
        "```",
    ]


def adapt(network: UnfoldedOGAMP, inputs: tuple[Any, ...], steps: int) -> tuple[UnfoldedOGAMP, str]:
    """The network adapted to the CSI of one scene, and a sentence on the result."""
    csi, array, grid = inputs
    tuned = adapted(network, csi, array, grid, AdaptationSettings(steps=steps))
    sentence = (
        f"Adapted in {steps} steps: residual {100 * tuned.after:.5g} % of the power of the CSI, "
        f"{100 * tuned.before:.5g} % before"
    )
    return tuned.network, sentence


def comparison(scene: Scene, estimates: Mapping[str, Estimate], index: int) -> Figure:
    """A figure with truth and estimates side by side."""
    from unfolded_ogamp.imaging.figures.comparison import comparison_figure

    return comparison_figure(scene, estimates, index)


@dataclass(frozen=True)
class Measured:
    """A CSI file after its examination: as the estimator takes it, and as its findings say."""

    file: CsiFile
    examined: Examined


def read(path: Path) -> CsiFile:
    """Read a CSI file; an error also says which unit is suspected.

    Raises:
        CsiFileError: with one line.
    """
    try:
        return load_csi(path)
    except CsiFileError as error:
        try:
            suspected = suspicion(read_npz(path, KEYS, REQUIRED))
        except (ValueError, TypeError, ZeroDivisionError):
            suspected = ""
        raise CsiFileError(f"{error}; {suspected}" if suspected else str(error)) from error


def examined(file: CsiFile, synchronise: bool) -> tuple[Measured, Sequence[str]]:
    """A CSI file without what its findings leave out, and the findings."""
    result = examine(file.csi, file.array, file.grid, synchronise)
    truth = file.truth
    if truth is not None:  # node phases on the subcarriers that are kept, but not relative to clocks
        phases = (truth.tx_phase, truth.rx_phase) if result.clocks is None else (None, None)
        tx, rx = (None if phase is None else phase[..., result.subcarrier] for phase in phases)
        truth = replace(truth, tx_phase=tx, rx_phase=rx)
    return Measured(replace(file, csi=result.csi, array=result.array, truth=truth), result), result.lines


def limited(estimator: Estimator, seconds: float, report: Callable[[int, float], None]) -> Estimator:
    """The estimator with a budget of time, if it searches for a better fit."""
    budget = Budget(seconds=seconds, starts=MOST_STARTS, report=report)
    if isinstance(estimator, GreedyEstimator):
        return replace(estimator, budget=budget)
    if isinstance(estimator, UnfoldedOGAMP):
        estimator = copy(estimator)
        estimator.budget = budget
    return estimator


def describe(file: CsiFile) -> str:
    """A description of a CSI file."""
    from unfolded_ogamp.imaging.report import description

    return description(file)


def report(measured: Measured, estimate: Estimate, notes: Sequence[Warning]) -> Iterable[Any]:
    """The report on an estimate, line by line."""
    from unfolded_ogamp.imaging import report

    return report.report(measured.file, estimate, notes)


def picture(measured: Measured, estimate: Estimate) -> Figure:
    """The picture of an estimate."""
    from unfolded_ogamp.imaging import report

    return report.picture(measured.file, measured.examined.explained(estimate))


def write_estimate(path: Path, estimate: Estimate, measured: Measured, origin: Mapping[str, str]) -> None:
    """Write an estimate to a file, with node phases on all subcarriers of the measurement."""
    restored = measured.examined.restored(estimate)
    save_estimate(path, restored, measured.file.grid, origin)


def study() -> Mapping[str, StudyFigure]:
    """The figures of the reproduction study, by name."""
    from unfolded_ogamp.imaging.study.registry import FIGURES

    return FIGURES


SYSTEM = System(
    name="imaging",
    scenarios=SCENARIOS,
    mixtures=MIXTURES,
    estimators=CLASSIC,
    compared=("unfolded", "og_amp", "og_amp_paper", "gamp"),
    scoring=SCORING,
    learning=Learning(
        settings=NetworkSettings,
        network=UnfoldedOGAMP,
        loss_settings=LossSettings,
        loss=batch_loss,
        classic="greedy",
        watched=("chamfer", "success", "phase_rmse", "position_efficiency", "phase_efficiency"),
        card=card,
        shipped=SHIPPED,
        picture=comparison,
        adapt=adapt,
    ),
    files=Files(
        read=read,
        examine=examined,
        limited=limited,
        inputs=lambda measured: (measured.file.csi, measured.file.array, measured.file.grid),
        describe=describe,
        report=report,
        write=save_csi,
        write_estimate=write_estimate,
        picture=picture,
    ),
    study=study,
)
