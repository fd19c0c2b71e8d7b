"""Imaging as a system: all parts that the commands use, see `unfolded_ogamp.system`.

Functions that need matplotlib or rich import them when called, so that networks load and estimate without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unfolded_ogamp.imaging.catalogue import CLASSIC
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.files.arrays import CsiFile
from unfolded_ogamp.imaging.files.csi import load_csi, save_csi
from unfolded_ogamp.imaging.files.estimate import save_estimate
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


def describe(file: CsiFile) -> str:
    """A description of a CSI file."""
    from unfolded_ogamp.imaging.report import description

    return description(file)


def report(file: CsiFile, estimate: Estimate, notes: Sequence[Warning]) -> Iterable[Any]:
    """The report on an estimate, line by line."""
    from unfolded_ogamp.imaging import report

    return report.report(file, estimate, notes)


def picture(file: CsiFile, estimate: Estimate) -> Figure:
    """The picture of an estimate."""
    from unfolded_ogamp.imaging import report

    return report.picture(file, estimate)


def write_estimate(path: Path, estimate: Estimate, file: CsiFile, origin: Mapping[str, str]) -> None:
    """Write an estimate to a file."""
    save_estimate(path, estimate, file.grid, origin)


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
        read=load_csi,
        inputs=lambda file: (file.csi, file.array, file.grid),
        describe=describe,
        report=report,
        write=save_csi,
        write_estimate=write_estimate,
        picture=picture,
    ),
    study=study,
)
