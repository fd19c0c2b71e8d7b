"""One estimate on one page, with or without a known truth."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from unfolded_ogamp.evaluation.point_sets import matched_estimates
from unfolded_ogamp.evaluation.style import COLOURS, FRAME, LARGE, MIDDLE, SMALL, TRUTH, soft_frame
from unfolded_ogamp.imaging.estimate import Estimate, Scatterers
from unfolded_ogamp.imaging.figures.panels import (
    draw_ellipses,
    draw_extents,
    draw_nodes,
    draw_region,
    draw_scatterers,
    draw_shifts,
    draw_stems,
    draw_truth,
    legend_above,
    legend_marks,
    levels,
    number_scatterers,
    plain,
    set_view,
)
from unfolded_ogamp.imaging.measured import Truth
from unfolded_ogamp.imaging.score import node_phase_error
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, isolated_nodes

UNKNOWN_PHASE = 1.0  # standard deviation of a phase that is not determined, [rad]
LINE = 115  # characters that fit on the page in one line
NOTE_LINE = 75  # characters of small type that fit above the image in one line
PHASE_COLOURS = "twilight_shifted"


def estimate_figure(
    csi: Csi,
    array: NodeArray,
    grid: PixelGrid,
    estimate: Estimate,
    phase_std: Tensor | None = None,
    truth: Truth | None = None,
) -> Figure:
    """One page on a batch of one: image of the region, map of the nodes, node phases, residuals and strengths.

    Args:
        csi, array, grid: measurement.
        estimate: from this measurement.
        phase_std: standard deviations of the node phases [n_tx + n_rx], [rad], Tx first; None where unknown.
        truth: true values to draw with the estimate, or None.
    """
    csi, array, grid = csi.to(torch.float64, "cpu"), array.to(torch.float64, "cpu"), grid.to(torch.float64, "cpu")
    link, scatterers = csi.link[0], estimate.scatterers[0]
    true_position = None if truth is None else plain(truth.position[0])
    found = torch.ones(len(scatterers.position), dtype=torch.bool)
    if true_position is not None:
        found = matched_estimates(true_position, plain(scatterers.position), float(array.wavelength))
    tx_phase, rx_phase = plain(estimate.tx_phase[0]), plain(estimate.rx_phase[0])
    phase = node_phase_error(tx_phase, rx_phase, link)
    norm = Normalize(-math.pi, math.pi)

    figure = Figure(figsize=(16, 8.6), layout=ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.12), facecolor="white")
    panels = figure.subplot_mosaic("ABC;ADE", width_ratios=[7.4, 4.8, 4.2], height_ratios=[1.2, 1])
    image, overview, stems, residual, strength = (panels[letter] for letter in "ABCDE")
    draw_region(image, grid, estimate.pixel_probability[0])
    draw_region(overview, grid)
    set_view(image, grid)
    set_view(overview, grid, array)
    for axes in (image, overview):
        draw_nodes(axes, array, c=phase, cmap=PHASE_COLOURS, norm=norm)
        if true_position is not None:
            draw_truth(axes, true_position)
    moved = draw_shifts(overview, array, estimate.nodes, COLOURS[1])
    draw_extents(image, scatterers, COLOURS[0])
    outside = plain(estimate.outside[0].position)
    overview.scatter(outside[:, 0], outside[:, 1], marker="x", s=60, color=COLOURS[0])
    draw_scatterers(image, scatterers, found, COLOURS[0])
    number_scatterers(image, scatterers)
    factor = draw_ellipses(image, scatterers, grid, COLOURS[1])
    bar = figure.colorbar(ScalarMappable(norm, PHASE_COLOURS), ax=overview, aspect=30, pad=0.02)
    bar.set_label("phase of a node [rad]", fontsize=MIDDLE)
    bar.ax.tick_params(labelsize=SMALL)

    shown = {"estimate": phase}
    if truth is not None and truth.tx_phase is not None and truth.rx_phase is not None:
        error = node_phase_error(tx_phase - plain(truth.tx_phase[0]), rx_phase - plain(truth.rx_phase[0]), link)
        shown = {"truth": torch.remainder(phase - error + math.pi, 2 * math.pi) - math.pi, "estimate": phase}
    draw_stems(stems, shown, [TRUTH, COLOURS[0]][-len(shown) :], len(link))
    if phase_std is not None and bool(phase_std.isfinite().all()):
        node = torch.arange(1, len(phase) + 1)
        style: dict[str, Any] = {"fmt": "none", "ecolor": COLOURS[1], "elinewidth": 2.2, "zorder": 5}
        spread = plain(2 * phase_std).numpy()
        stems.errorbar(node.numpy(), phase.numpy(), yerr=spread, label="2 std. deviations", **style)
    legend_above(stems, 3)
    stems.set_ylabel("node phase [rad]", fontsize=MIDDLE)
    stems.set_ylim(-3.5, 3.5)
    _draw_residual(residual, csi, estimate)
    _draw_strengths(strength, scatterers, found)

    label = "95 % ellipse" if factor == 1 else f"95 % ellipse x {factor}"
    ellipse = Line2D([], [], color=COLOURS[1], linewidth=1.6, label=label)
    handles = [*legend_marks(truth=true_position is not None), ellipse]
    if len(outside):
        style = {"linestyle": "none", "marker": "x", "color": COLOURS[0]}
        handles.append(Line2D([], [], label="echo from outside", **style))
    if moved:
        label = "shift of a node" if moved == 1 else f"shift of a node x {moved}"
        handles.append(Line2D([], [], color=COLOURS[1], linewidth=1.6, label=label))
    if bool((scatterers.extent > 0).any()):
        handles.append(Patch(facecolor=COLOURS[0] + "44", label="extent of a target"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles) if len(handles) < 8 else 5,
        fontsize=SMALL,
        frameon=False,
    )
    title = headline(csi, estimate, phase_std, None if true_position is None else (len(true_position), found))
    width = LINE if len(title) <= LINE else len(title) // 2 + 12
    figure.suptitle(textwrap.fill(title, width), fontsize=LARGE)
    if estimate.diagnosis[0]:
        said = textwrap.shorten("; ".join(estimate.diagnosis[0]), 4 * NOTE_LINE, placeholder=" ...")
        image.set_title(textwrap.fill(said, NOTE_LINE), fontsize=SMALL, loc="left")
    return figure


def headline(csi: Csi, estimate: Estimate, phase_std: Tensor | None, truth: tuple[int, Tensor] | None) -> str:
    """The estimate of a batch of one in one line.

    Args:
        csi: measurement.
        estimate: from this measurement.
        phase_std: standard deviations of the node phases, [rad], or None; nodes without links do not count.
        truth: the true number of scatterers, and which of the estimated ones are matched.
    """
    count = len(estimate.scatterers[0].position)
    status = "" if bool(estimate.converged[0]) else "not converged: "
    parts = [f"{status}{count} scatterer{'' if count == 1 else 's'}"]
    if truth is not None:
        n_true, found = truth
        parts[0] += f", {int(found.sum())} of {n_true} true ones within a tenth of a wavelength"
    linked = ~isolated_nodes(csi.link[0])
    spread = math.inf if phase_std is None else float(phase_std[linked].square().mean().sqrt())
    if spread < UNKNOWN_PHASE:
        parts.append(f"node phases known to {spread:.2g} rad")
    elif phase_std is not None:
        parts.append("node phases not determined")
    unexplained, link = float(estimate.residual[0]), csi.link[0]
    if csi.noise_variance is not None and float(csi.noise_variance[0]) > 0:
        parts.append(f"residual {unexplained / float(csi.noise_variance[0]):.3g} times the noise")
    else:
        power = float(csi.value[0][link].abs().square().mean())
        level = 10 * math.log10(max(unexplained / power, 1e-30))
        parts.append(f"residual {abs(level):.1f} dB {'below' if level < 0 else 'above'} the CSI")
    if float(estimate.noise_std[0]) > 0 and bool(estimate.converged[0]):
        share = 100 * float(estimate.noise_std[0] / estimate.noise_variance[0])
        parts.append(f"noise variance estimated to {share:.2g} %")
    missing = 1 - float(link.double().mean())
    if missing > 0:
        parts.append(f"{100 * missing:.0f} % of the links missing")
    if not bool(estimate.finite[0]):
        parts.append("stopped early at a non-finite state")
    return "; ".join(parts)


def _draw_residual(axes: Axes, csi: Csi, estimate: Estimate) -> None:
    """Residual of every link over the noise, or over the CSI where the noise is unknown; missing links are grey."""
    link = csi.link[0]
    prediction = estimate.prediction[0].detach().to(csi.value)
    left = (csi.value[0] - prediction).abs().square().mean(-1)
    noise = 0.0 if csi.noise_variance is None else float(csi.noise_variance[0])
    scale = noise if noise > 0 else float(csi.value[0][link].abs().square().mean())
    ratio = 10 * (left / scale).clamp(min=1e-12).log10()
    ratio[~link] = math.nan
    colours = colormaps["viridis"].with_extremes(bad="#D9D9D9")
    image = axes.imshow(ratio.numpy(), cmap=colours, aspect="auto", interpolation="nearest", origin="lower")
    bar = axes.figure.colorbar(image, ax=axes, aspect=30, pad=0.02)
    bar.set_label(f"link residual over {'noise' if noise > 0 else 'CSI'} [dB]", fontsize=MIDDLE)
    bar.ax.tick_params(labelsize=SMALL)
    axes.set_xlabel("Rx" if link.all() else "Rx (grey: no link)", fontsize=MIDDLE)
    axes.set_ylabel("Tx", fontsize=MIDDLE)
    soft_frame(axes)


def _draw_strengths(axes: Axes, scatterers: Scatterers, found: Tensor) -> None:
    """Level of every scatterer, numbered as in the image; filled where there is no true scatterer."""
    level = levels(scatterers)
    order = level.argsort(descending=True)
    for rank, index in enumerate(order.tolist(), start=1):
        style: dict[str, Any] = {"markerfacecolor": "none"} if found[index] else {"markerfacecolor": COLOURS[0] + "66"}
        axes.plot(float(level[index]), rank, "o", color=COLOURS[0], markersize=10, markeredgewidth=2, **style)
    axes.set_ylim(max(len(level), 1) + 0.7, 0.3)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(min(-10.0, float(level.min()) - 2) if len(level) else -10.0, 2)
    axes.set_xlabel("level, strongest at 0 [dB]", fontsize=MIDDLE)
    axes.set_ylabel("scatterer number", fontsize=MIDDLE)
    axes.grid(axis="x", color=FRAME, linewidth=0.8, alpha=0.6)
    soft_frame(axes)
