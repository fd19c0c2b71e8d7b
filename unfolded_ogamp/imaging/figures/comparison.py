"""Estimates of one scene beside its truth: the picture of a talk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from unfolded_ogamp.evaluation.point_sets import matched_estimates
from unfolded_ogamp.evaluation.style import BEFORE, COLOURS, MIDDLE, SMALL, TRUTH, soft_frame
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.figures.panels import (
    draw_nodes,
    draw_region,
    draw_scatterers,
    draw_stems,
    draw_title,
    draw_truth,
    drawn_nodes,
    image_legend,
    plain,
)
from unfolded_ogamp.imaging.score import node_phase_error, phase_error
from unfolded_ogamp.physics import Scene, link_phase, link_phase_error


def comparison_figure(scene: Scene, estimates: Mapping[str, Estimate], index: int) -> Figure:
    """Truth and estimates of scene `index` side by side; below, the phase errors before and after each of them."""
    one = scene[slice(index, index + 1)].to(torch.float64, "cpu")
    link, truth, wavelength = one.link[0], one.position[0], float(one.array.wavelength)
    before = node_phase_error(-one.tx_phase[0], -one.rx_phase[0], link)
    limit = max(float(before.abs().nan_to_num().max()), 0.1)
    norm = Normalize(-limit, limit)
    true_phase = link_phase(one.tx_phase, one.rx_phase)
    errors = {"before": link_phase_error(torch.zeros_like(true_phase), true_phase, one.link)[0][link]}
    nodes = drawn_nodes(one.array, one.grid)
    colours = [BEFORE, *(COLOURS[number % len(COLOURS)] for number in range(len(estimates)))]

    n_columns = 1 + len(estimates)
    figure = Figure(
        figsize=(5.3 * n_columns + 1.0, 10.0),
        layout=ConstrainedLayoutEngine(h_pad=0.12, compress=True),
        facecolor="white",
    )
    axes = figure.subplots(2, n_columns, squeeze=False, height_ratios=[5.3, 3.0])
    draw_region(axes[0, 0], one.array, one.grid, None)
    draw_nodes(axes[0, 0], nodes, before, norm, "PuOr")
    draw_truth(axes[0, 0], truth)
    draw_title(axes[0, 0], "truth", TRUTH, f"{len(truth)} scatterers; {_rms(errors['before']):.2g} rad off")
    for column, (name, estimate) in enumerate(estimates.items(), start=1):
        scatterers = estimate.scatterers[index]
        tx_phase, rx_phase = plain(estimate.tx_phase[index]), plain(estimate.rx_phase[index])
        after = node_phase_error(tx_phase - one.tx_phase[0], rx_phase - one.rx_phase[0], link)
        errors[name] = phase_error(scene, estimate, index)[link]
        found = matched_estimates(truth, plain(scatterers.position), wavelength)
        draw_region(axes[0, column], one.array, one.grid, estimate.pixel_probability[index])
        draw_nodes(axes[0, column], nodes, after, norm, "PuOr")
        draw_truth(axes[0, column], truth)
        draw_scatterers(axes[0, column], scatterers, found, colours[column])
        count = int(found.sum())
        counts = f"{count} found, {len(truth) - count} missed, {len(found) - count} false"
        draw_title(axes[0, column], name, colours[column], f"{counts}; {_rms(errors[name]):.2g} rad off")
        draw_stems(axes[1, column], {"before": before, name: after}, [BEFORE, colours[column]], len(link))
        axes[1, column].set_ylim(-1.1 * limit, 1.1 * limit)
    axes[1, 1 % n_columns].set_ylabel("phase error [rad]", fontsize=MIDDLE)
    _draw_error_histogram(axes[1, 0], errors, colours)
    bar = figure.colorbar(ScalarMappable(norm, "PuOr"), ax=list(axes[0]), shrink=0.85, aspect=32, pad=0.01)
    bar.set_label("phase error of a node [rad]", fontsize=MIDDLE)
    bar.ax.tick_params(labelsize=SMALL)
    figure.legend(handles=image_legend(false=True), loc="outside lower center", ncols=5, fontsize=MIDDLE, frameon=False)
    return figure


def _draw_error_histogram(axes: Axes, errors: Mapping[str, Tensor], colours: Sequence[str]) -> None:
    """Histograms of the size of the link phase errors, on a logarithmic axis."""
    bins = torch.logspace(-4, math.log10(math.pi), 46, dtype=torch.float64)
    for (name, error), colour in zip(errors.items(), colours, strict=True):
        value = error.abs().clamp(min=1e-4).flatten().numpy()
        share = torch.full((len(value),), 1 / max(len(value), 1)).numpy()
        axes.hist(value, bins.tolist(), weights=share, histtype="stepfilled", color=colour, alpha=0.25)
        axes.hist(value, bins.tolist(), weights=share, histtype="step", color=colour, linewidth=2, label=name)
    axes.set_xscale("log")
    axes.set_xlim(1e-4, math.pi)
    axes.set_xlabel("link phase error, absolute [rad]", fontsize=MIDDLE)
    axes.set_ylabel("share of the links", fontsize=MIDDLE)
    soft_frame(axes)
    axes.set_ylim(top=1.5 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left", fontsize=SMALL, frameon=False)


def _rms(value: Tensor) -> float:
    return float(value.square().mean().sqrt())
