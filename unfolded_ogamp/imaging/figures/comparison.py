"""Estimates of one scene beside its truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from unfolded_ogamp.evaluation.point_sets import matched_estimates
from unfolded_ogamp.evaluation.style import BEFORE, COLOURS, LARGE, MIDDLE, SMALL, TRUTH, soft_frame
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.figures.panels import (
    draw_nodes,
    draw_region,
    draw_scatterers,
    draw_stems,
    draw_truth,
    legend_above,
    legend_marks,
    plain,
    set_view,
)
from unfolded_ogamp.imaging.score import node_phase_error, phase_error
from unfolded_ogamp.physics import Scene, link_phase, link_phase_error


def comparison_figure(scene: Scene, estimates: Mapping[str, Estimate], index: int) -> Figure:
    """Map of scene `index`, and its region in each estimate; below, phase errors before and after."""
    one = scene[slice(index, index + 1)].to(torch.float64, "cpu")
    link, truth, wavelength = one.link[0], one.position[0], float(one.array.wavelength)
    before = node_phase_error(-one.tx_phase[0], -one.rx_phase[0], link)
    limit = max(float(before.abs().nan_to_num().max()), 0.1)
    true_phase = link_phase(one.tx_phase, one.rx_phase)
    errors = {"before": link_phase_error(torch.zeros_like(true_phase), true_phase, one.link)[0][link]}
    colours = [BEFORE, *(COLOURS[number % len(COLOURS)] for number in range(len(estimates)))]

    n_columns = 1 + len(estimates)
    layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.12, hspace=0.06)
    figure = Figure(figsize=(5.3 * n_columns, 10.0), layout=layout, facecolor="white")
    axes = figure.subplots(2, n_columns, squeeze=False, height_ratios=[5.3, 3.0])
    draw_region(axes[0, 0], one.grid)
    set_view(axes[0, 0], one.grid, one.array)
    draw_nodes(axes[0, 0], one.array)
    draw_truth(axes[0, 0], truth)
    _draw_title(axes[0, 0], "truth", TRUTH, f"{len(truth)} scatterers; phase error {_rms(errors['before']):.2g} rad")
    for column, (name, estimate) in enumerate(estimates.items(), start=1):
        scatterers, (image, stems) = estimate.scatterers[index], axes[:, column]
        tx_phase, rx_phase = plain(estimate.tx_phase[index]), plain(estimate.rx_phase[index])
        after = node_phase_error(tx_phase - one.tx_phase[0], rx_phase - one.rx_phase[0], link)
        errors[name] = phase_error(scene, estimate, index)[link]
        found = matched_estimates(truth, plain(scatterers.position), wavelength)
        draw_region(image, one.grid, estimate.pixel_probability[index])
        set_view(image, one.grid)
        draw_nodes(image, one.array)
        draw_truth(image, truth)
        draw_scatterers(image, scatterers, found, colours[column])
        count = int(found.sum())
        counts = f"{count} found, {len(truth) - count} missed, {len(found) - count} false"
        _draw_title(image, name, colours[column], f"{counts}; phase error {_rms(errors[name]):.2g} rad")
        draw_stems(stems, {"before": before, name: after}, [BEFORE, colours[column]], len(link))
        legend_above(stems, 2)
        stems.set_ylim(-1.1 * limit, 1.1 * limit)
    axes[1, 1 % n_columns].set_ylabel("node phase error [rad]", fontsize=MIDDLE)
    _draw_error_histogram(axes[1, 0], errors, colours)
    handles = legend_marks(truth=True)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=MIDDLE, frameon=False)
    return figure


def _draw_title(axes: Axes, name: str, colour: str, detail: str) -> None:
    """The name above a line of detail."""
    axes.set_title(name, fontsize=LARGE, color=colour, fontweight="bold", pad=24)
    place: dict[str, Any] = {"xytext": (0, 7), "xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(detail, (0.5, 1.0), **place, ha="center", fontsize=SMALL, color="#333333")


def _draw_error_histogram(axes: Axes, errors: Mapping[str, Tensor], colours: Sequence[str]) -> None:
    """Histograms of the absolute link phase errors on a logarithmic axis, in the colours of the estimates."""
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
    legend_above(axes, 2)


def _rms(value: Tensor) -> float:
    return float(value.square().mean().sqrt())
