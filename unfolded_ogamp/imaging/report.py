"""The report on an estimate from a CSI file, as text and as a picture. Needs `rich` and `matplotlib`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from matplotlib.figure import Figure
from rich.table import Table

from unfolded_ogamp.evaluation.point_sets import matched_estimates
from unfolded_ogamp.evaluation.report import screen_table
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.figures.overview import estimate_figure, headline
from unfolded_ogamp.imaging.files.arrays import CsiFile

STRONGEST = 8


def description(file: CsiFile) -> str:
    """Size and region of the measurement, shown before the estimation."""
    n_tx, n_rx, n_frequencies = file.csi.value.shape[1:]
    lower, upper = (end.tolist() for end in (file.grid.centre[0].amin(0), file.grid.centre[0].amax(0)))
    span = " x ".join(f"{low:.4g} ... {high:.4g}" for low, high in zip(lower, upper, strict=True))
    return (
        f"{n_tx} x {n_rx} nodes, {n_frequencies} frequencies; {file.grid.centre.shape[1]} pixels of "
        f"{float(file.grid.pixel[0]):.3g} m, centres {span} m (roi and pixel in the file set them)"
    )


def picture(file: CsiFile, estimate: Estimate) -> Figure:
    """The picture of an estimate."""
    phase_std = torch.cat([estimate.tx_phase_std[0], estimate.rx_phase_std[0]])
    return estimate_figure(file.csi, file.array, file.grid, estimate, phase_std, file.truth)


def report(file: CsiFile, estimate: Estimate, notes: Sequence[Warning]) -> Iterator[str | Table]:
    """A summary of an estimate, notes on possible problems, and a table of its strongest scatterers."""
    yield f"{_headline(file, estimate)}."
    if blocked := _nodes_without_los(estimate):
        yield f"No line of sight: {', '.join(blocked)}; their phases come from scattering alone."
    for note in notes:
        yield f"Note: {note}."
    if len(estimate.scatterers[0].position):
        yield scatterer_table(estimate)


def scatterer_table(estimate: Estimate) -> Table:
    """A table of the strongest scatterers of a batch of one."""
    scatterers = estimate.scatterers[0]
    strength = scatterers.reflectivity.abs()
    order = strength.argsort(descending=True)[:STRONGEST]
    title = f"the {len(order)} strongest of {len(strength)}" if len(strength) > len(order) else None
    table = screen_table(title, "position [m]", "+- [mm]", "strength", "to strongest [dB]", "probability")
    for index in order.tolist():
        position = ", ".join(f"{value:.4f}" for value in scatterers.position[index].tolist())
        spread = 1e3 * float(scatterers.position_std[index].square().sum().sqrt())
        level = 20 * float((strength[index] / strength.max()).log10())
        probability = float(scatterers.probability[index])
        table.add_row(position, f"{spread:.2g}", f"{float(strength[index]):.3g}", f"{level:.1f}", f"{probability:.4f}")
    return table


def _nodes_without_los(estimate: Estimate) -> list[str]:
    """Names, numbered from 0, of the nodes without a line of sight in a scene where others have one."""
    sides = (("Tx", estimate.tx_without_los), ("Rx", estimate.rx_without_los))
    return [f"{side} {node}" for side, without in sides for node in without[0].nonzero()[:, 0].tolist()]


def _headline(file: CsiFile, estimate: Estimate) -> str:
    phase_std = torch.cat([estimate.tx_phase_std[0], estimate.rx_phase_std[0]])
    if file.truth is None:
        return headline(file.csi, estimate, phase_std, None)
    true_position = file.truth.position[0]
    found = matched_estimates(true_position, estimate.scatterers[0].position, float(file.array.wavelength))
    return headline(file.csi, estimate, phase_std, (len(true_position), found))
