"""From a CSI file to an estimate file and a picture."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from unfolded_ogamp.commands.failure import CommandError
from unfolded_ogamp.evaluation.point_sets import matched_estimates
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.estimate import Estimate, Estimator
from unfolded_ogamp.imaging.figures.overview import estimate_figure, headline
from unfolded_ogamp.imaging.files.arrays import CsiFile
from unfolded_ogamp.imaging.files.csi import load_csi
from unfolded_ogamp.imaging.files.estimate import save_estimate
from unfolded_ogamp.imaging.mismatch.diagnosis import MismatchWarning
from unfolded_ogamp.imaging.network.adaptation import AdaptationSettings, Adapted, adapted
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP

STRONGEST = 8
MISFIT = 10.0  # times the noise above which the residual is no noise
LITTLE = 0.5  # share of the power of the CSI that an estimate had better explain


def run_estimate(input_path: Path, output: Path, estimator: Estimator, adapt: int, console: Console) -> None:
    """Estimate from `input_path` in double precision, write `output`/estimate.npz and .png and print a summary.

    Args:
        input_path: CSI file.
        output: folder.
        estimator: classic or learned.
        adapt: gradient steps that tune a network to this file alone; 0 for none.
        console: where the summary goes.

    Raises:
        CsiFileError: if the file cannot be used.
        CommandError: if the estimator cannot work on it, or be adapted, or the folder cannot be written.
    """
    if type(adapt) is not int or adapt < 0:
        raise CommandError(f"adapt: expected a whole number of steps of at least 0, found {adapt!r}")
    if adapt > 0 and not isinstance(estimator, UnfoldedOGAMP):
        raise CommandError(f"adapt: expected 0 for an estimator that is no network, found {adapt!r}")
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        file = load_csi(input_path)
    for note in notes:
        console.print(f"Note: {note.message}", markup=False, soft_wrap=True)
    console.print(_size(file), markup=False, soft_wrap=True)
    try:
        with torch.inference_mode(), warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            if adapt and isinstance(estimator, UnfoldedOGAMP):
                tuned = adapted(estimator, file.csi, file.array, file.grid, AdaptationSettings(steps=adapt))
                estimator = tuned.network
                console.print(_adaptation(tuned, adapt), markup=False, soft_wrap=True)
            estimate = estimator(file.csi, file.array, file.grid)
    except ValueError as error:
        raise CommandError(f"{input_path}: {error}") from error
    phase_std = torch.cat([estimate.tx_phase_std[0], estimate.rx_phase_std[0]])
    picture = picture_of(file, estimate, phase_std)
    try:
        output.mkdir(parents=True, exist_ok=True)
        save_estimate(output / "estimate.npz", estimate, file.grid)
        with written_at_once(output / "estimate.png") as path:
            path.write_bytes(picture)
    except OSError as error:
        found = error.strerror or str(error)
        raise CommandError(f"{output}: expected a folder that can be written, found {found.lower()}") from error
    console.print(f"{_headline(file, estimate, phase_std)}.", markup=False, soft_wrap=True)
    if blocked := _nodes_without_los(estimate):
        line = f"No line of sight: {', '.join(blocked)}; their phases come from scattering alone."
        console.print(line, markup=False, soft_wrap=True)
    for note in notes:
        console.print(f"Note: {note.message}.", markup=False, soft_wrap=True)
    noise = file.csi.noise_variance
    told = any(issubclass(note.category, MismatchWarning) for note in notes)
    if noise is not None and not told and float(estimate.residual[0]) > MISFIT * float(noise[0]):
        ratio = float(estimate.residual[0]) / float(noise[0])
        line = (
            f"Note: the residual is {ratio:.3g} times the noise: the model leaves something out, and scatterers in its"
        )
        console.print(f"{line} place may be invented; check los, los_channel and the positions.", soft_wrap=True)
    link = file.csi.link[0]
    if float(estimate.residual[0]) > LITTLE * float(file.csi.value[0][link].abs().square().mean()):
        console.print(
            "Note: little of the CSI is explained; check the sign of its phases, the positions, roi and pixel.",
            markup=False,
            soft_wrap=True,
        )
    if len(estimate.scatterers[0].position):
        console.print(scatterer_table(estimate))
    for name in ("estimate.npz", "estimate.png"):
        console.print(str(output / name), markup=False, soft_wrap=True)


def picture_of(file: CsiFile, estimate: Estimate, phase_std: Tensor) -> bytes:
    """The page on an estimate, as a PNG."""
    picture = io.BytesIO()
    figure = estimate_figure(file.csi, file.array, file.grid, estimate, phase_std, file.truth)
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()


def scatterer_table(estimate: Estimate) -> Table:
    """The strongest scatterers of a batch of one."""
    scatterers = estimate.scatterers[0]
    strength = scatterers.reflectivity.abs()
    order = strength.argsort(descending=True)[:STRONGEST]
    table = Table(title=f"the {len(order)} strongest of {len(strength)}" if len(strength) > len(order) else None)
    for heading in ("position [m]", "+- [mm]", "strength", "to strongest [dB]", "probability"):
        table.add_column(escape(heading), justify="right")
    for index in order.tolist():
        position = ", ".join(f"{value:.4f}" for value in scatterers.position[index].tolist())
        spread = 1e3 * float(scatterers.position_std[index].square().sum().sqrt())
        level = 20 * float((strength[index] / strength.max()).log10())
        probability = float(scatterers.probability[index])
        table.add_row(position, f"{spread:.2g}", f"{float(strength[index]):.3g}", f"{level:.1f}", f"{probability:.4f}")
    return table


def _size(file: CsiFile) -> str:
    """What is estimated from, before it may take a while."""
    n_tx, n_rx, n_frequencies = file.csi.value.shape[1:]
    lower, upper = (end.tolist() for end in (file.grid.centre[0].amin(0), file.grid.centre[0].amax(0)))
    span = " x ".join(f"{low:.4g} ... {high:.4g}" for low, high in zip(lower, upper, strict=True))
    return (
        f"{n_tx} x {n_rx} nodes, {n_frequencies} frequencies; {file.grid.centre.shape[1]} pixels of "
        f"{float(file.grid.pixel[0]):.3g} m, centres {span} m (roi and pixel in the file set them)"
    )


def _adaptation(tuned: Adapted, steps: int) -> str:
    """What adapting came to."""
    return (
        f"Adapted in {steps} steps: of the power of the CSI the layers leave {100 * tuned.after:.5g} % unexplained, "
        f"{100 * tuned.before:.5g} % before"
    )


def _nodes_without_los(estimate: Estimate) -> list[str]:
    """Names of the nodes of a batch of one that have no line of sight where others do, numbered from 0."""
    sides = (("Tx", estimate.tx_without_los), ("Rx", estimate.rx_without_los))
    return [f"{side} {node}" for side, without in sides for node in without[0].nonzero()[:, 0].tolist()]


def _headline(file: CsiFile, estimate: Estimate, phase_std: Tensor) -> str:
    if file.truth is None:
        return headline(file.csi, estimate, phase_std, None)
    true_position = file.truth.position[0]
    found = matched_estimates(true_position, estimate.scatterers[0].position, float(file.array.wavelength))
    return headline(file.csi, estimate, phase_std, (len(true_position), found))
