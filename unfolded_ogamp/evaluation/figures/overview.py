"""One estimate on one page: for a user's own measurements as well as for simulated ones."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from unfolded_ogamp.estimate import Estimate
from unfolded_ogamp.evaluation.figures.panels import (
    COLOURS,
    LARGE,
    MIDDLE,
    SMALL,
    TRUTH,
    draw_nodes,
    draw_region,
    draw_scatterers,
    draw_stems,
    draw_truth,
    drawn_nodes,
    image_legend,
    plain,
    soft_frame,
)
from unfolded_ogamp.evaluation.metrics import matched_estimates, node_phase_error
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid


class Truth(Protocol):
    """What a picture shows of the truth of a batch of one: a `Scene` has it, and a CSI file as far as it is known."""

    @property
    def position(self) -> Tensor: ...
    @property
    def tx_phase(self) -> Tensor | None: ...
    @property
    def rx_phase(self) -> Tensor | None: ...


def estimate_figure(
    csi: Csi, array: NodeArray, grid: PixelGrid, estimate: Estimate, truth: Truth | None = None
) -> Figure:
    """One page on a batch of one: image, node phases, what is left unexplained, and how the estimate came about."""
    csi, array, grid = csi.to(torch.float64, "cpu"), array.to(torch.float64, "cpu"), grid.to(torch.float64, "cpu")
    link, scatterers = csi.link[0], estimate.scatterers[0]
    true_position = None if truth is None else plain(truth.position[0])
    found = torch.ones(len(scatterers.position), dtype=torch.bool)
    if true_position is not None:
        found = matched_estimates(true_position, plain(scatterers.position), float(array.wavelength))
    tx_phase, rx_phase = plain(estimate.tx_phase[0]), plain(estimate.rx_phase[0])
    phase = node_phase_error(tx_phase, rx_phase, link)
    norm = Normalize(-math.pi, math.pi)

    figure = Figure(figsize=(16, 9), layout=ConstrainedLayoutEngine(h_pad=0.12, compress=True), facecolor="white")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[8.4, 7.6])[0]
    image = left.subplots()
    draw_region(image, array, grid, estimate.pixel_probability[0])
    draw_nodes(image, drawn_nodes(array, grid), phase, norm, "twilight_shifted")
    if true_position is not None:
        draw_truth(image, true_position)
    draw_scatterers(image, scatterers, found, COLOURS[0])
    bar = left.colorbar(ScalarMappable(norm, "twilight_shifted"), ax=image, shrink=0.75, aspect=30, pad=0.01)
    bar.set_label("phase of a node [rad]", fontsize=MIDDLE)
    bar.ax.tick_params(labelsize=SMALL)
    handles = image_legend(false=true_position is not None)
    image.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=5, fontsize=SMALL, frameon=False
    )

    top, bottom = right.subfigures(2, 1, squeeze=False, height_ratios=[3, 5])[:, 0]
    shown = {"estimate": phase}
    if truth is not None and truth.tx_phase is not None and truth.rx_phase is not None:
        error = node_phase_error(tx_phase - plain(truth.tx_phase[0]), rx_phase - plain(truth.rx_phase[0]), link)
        shown = {"truth": torch.remainder(phase - error + math.pi, 2 * math.pi) - math.pi, "estimate": phase}
    stems = top.subplots()
    draw_stems(stems, shown, [TRUTH, COLOURS[0]][-len(shown) :], len(link))
    stems.set_ylabel("node phase [rad]", fontsize=MIDDLE)
    stems.set_ylim(-3.5, 3.5)
    residual, history = bottom.subplots(1, 2, width_ratios=[1.15, 1])
    _draw_residual(residual, csi, estimate)
    _draw_history(history, csi, estimate)
    figure.suptitle(
        headline(csi, estimate, None if true_position is None else (len(true_position), found)), fontsize=LARGE
    )
    return figure


def headline(csi: Csi, estimate: Estimate, truth: tuple[int, Tensor] | None) -> str:
    """The estimate of a batch of one in one line; `truth` is the true number and which of the reported are matched."""
    count = len(estimate.scatterers[0].position)
    parts = [f"{count} scatterer{'' if count == 1 else 's'}"]
    if truth is not None:
        n_true, found = truth
        parts[0] += f", {int(found.sum())} of {n_true} true ones within a tenth of a wavelength"
    unexplained, link = float(estimate.residual[0]), csi.link[0]
    if csi.noise_variance is not None and float(csi.noise_variance[0]) > 0:
        parts.append(f"residual {unexplained / float(csi.noise_variance[0]):.3g} times the noise")
    else:
        power = float(csi.value[0][link].abs().square().mean())
        level = 10 * math.log10(max(unexplained / power, 1e-30))
        parts.append(f"residual {abs(level):.1f} dB {'below' if level < 0 else 'above'} the CSI")
    missing = 1 - float(link.double().mean())
    if missing > 0:
        parts.append(f"{100 * missing:.0f} % of the links missing")
    if not bool(estimate.finite[0]):
        parts.append("stopped early at a non-finite state")
    return "; ".join(parts)


def _draw_residual(axes: Axes, csi: Csi, estimate: Estimate) -> None:
    """Residual of every link over the noise, or over the CSI where the noise is unknown; missing links grey."""
    link = csi.link[0]
    prediction = estimate.prediction[0].detach().to(csi.value)
    left = (csi.value[0] - prediction).abs().square().mean(-1)
    noise = 0.0 if csi.noise_variance is None else float(csi.noise_variance[0])
    scale = noise if noise > 0 else float(csi.value[0][link].abs().square().mean())
    ratio = 10 * (left / scale).clamp(min=1e-12).log10()
    ratio[~link] = math.nan
    colours = colormaps["viridis"].with_extremes(bad="#D9D9D9")
    image = axes.imshow(ratio.numpy(), cmap=colours, aspect="auto", interpolation="nearest", origin="lower")
    bar = axes.figure.colorbar(image, ax=axes, location="top", aspect=30, pad=0.02)
    bar.set_label(f"residual of a link over the {'noise' if noise > 0 else 'CSI'} [dB]", fontsize=MIDDLE)
    bar.ax.tick_params(labelsize=SMALL)
    axes.set_xlabel("Rx" if link.all() else "Rx (grey: no link)", fontsize=MIDDLE)
    axes.set_ylabel("Tx", fontsize=MIDDLE)
    soft_frame(axes)


def _draw_history(axes: Axes, csi: Csi, estimate: Estimate) -> None:
    """Residual and number of active pixels over the iterations; nothing for an estimator without any."""
    residual, active = plain(estimate.history.residual[0]), plain(estimate.history.active[0])
    if len(residual) == 0:
        axes.set_axis_off()
        return
    iteration = range(1, len(residual) + 1)
    axes.semilogy(iteration, residual.numpy(), "o-", markersize=3, color=COLOURS[1], linewidth=2.2)
    if csi.noise_variance is not None:
        axes.axhline(float(csi.noise_variance[0]), color=COLOURS[1], linewidth=1.4, linestyle="--")
    axes.set_xlabel("iteration", fontsize=MIDDLE)
    axes.set_ylabel(
        "residual" if csi.noise_variance is None else "residual (dashed: noise)", fontsize=MIDDLE, color=COLOURS[1]
    )
    soft_frame(axes)
    other = axes.twinx()
    other.plot(iteration, active.numpy(), "o-", markersize=3, color=COLOURS[0], linewidth=2.2)
    other.set_ylim(bottom=0)
    other.set_ylabel("active pixels", fontsize=MIDDLE, color=COLOURS[0])
    soft_frame(other)
