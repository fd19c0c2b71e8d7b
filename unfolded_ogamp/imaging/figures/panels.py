"""The parts that figures are made of, each drawn into given axes, in one style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Rectangle
from torch import Tensor

from unfolded_ogamp.evaluation.style import FRAME, LARGE, MIDDLE, SMALL, TRUTH, soft_frame
from unfolded_ogamp.imaging.estimate import Scatterers
from unfolded_ogamp.physics import NodeArray, PixelGrid

ELLIPSE_95 = math.sqrt(-2 * math.log(0.05))  # standard deviations of a normal error in a plane
LARGEST_ELLIPSE = 0.08  # of the side of the region
MOST_NUMBERS = 20
HEAT = ListedColormap(colormaps["Greys"](torch.linspace(0, 0.55, 256).numpy()), name="light greys")


def draw_region(axes: Axes, array: NodeArray, grid: PixelGrid, probability: Tensor | None) -> None:
    """Region of interest with the pixel probabilities [N] as a heat map, the largest along z in three dimensions."""
    centre, pixel = grid.centre[0], float(grid.pixel[0])
    lower, upper = (centre.amin(0)[:2] - pixel / 2).tolist(), (centre.amax(0)[:2] + pixel / 2).tolist()
    if probability is not None:
        column, row = ((centre[:, :2] - centre.amin(0)[:2]) / pixel).round().long().unbind(-1)
        shape = (int(row.max()) + 1, int(column.max()) + 1)
        image = torch.zeros(shape[0] * shape[1], dtype=torch.float64)
        image = image.scatter_reduce(0, row * shape[1] + column, plain(probability), "amax").reshape(shape)
        extent = (lower[0], upper[0], lower[1], upper[1])
        axes.imshow(image.numpy(), origin="lower", extent=extent, cmap=HEAT, vmin=0, vmax=1, interpolation="nearest")
    sides = [high - low for low, high in zip(lower, upper, strict=True)]
    axes.add_patch(Rectangle((lower[0], lower[1]), sides[0], sides[1], fill=False, edgecolor=FRAME, linewidth=1.2))
    nodes = torch.cat(drawn_nodes(array, grid))
    margin = 0.05 * max(sides)
    axes.set_xlim(min(lower[0], float(nodes[:, 0].min())) - margin, max(upper[0], float(nodes[:, 0].max())) + margin)
    axes.set_ylim(min(lower[1], float(nodes[:, 1].min())) - margin, max(upper[1], float(nodes[:, 1].max())) + margin)
    axes.set_aspect("equal")
    # Nothing but the region is to scale, so nothing else gets ticks.
    axes.set_xticks([lower[0], (lower[0] + upper[0]) / 2, upper[0]])
    axes.set_yticks([lower[1], (lower[1] + upper[1]) / 2, upper[1]])
    note = "" if centre.shape[1] == 2 else ", seen along z"
    axes.set_xlabel(f"x [m]{note} (nodes drawn closer)", fontsize=MIDDLE)
    axes.set_ylabel("y [m]", fontsize=MIDDLE)
    soft_frame(axes)


def drawn_nodes(array: NodeArray, grid: PixelGrid) -> tuple[Tensor, Tensor]:
    """Where nodes are drawn [n_tx, 2], [n_rx, 2]: in their true direction, but close around the region of interest.

    Distances are in half sides of the region, those beyond its edge are shrunk together; nodes within it stay.
    """
    centre = grid.centre[0][:, :2]
    middle = (centre.amax(0) + centre.amin(0)) / 2
    half = (centre.amax(0) - centre.amin(0) + grid.pixel[0]) / 2
    ray = (torch.cat([array.tx[0], array.rx[0]])[:, :2] - middle) / half
    reach = ray.abs().amax(-1, keepdim=True)
    outside = (reach - 1).clamp(min=0)
    shrunk = torch.where(outside > 0, 1.1 + 0.45 * outside / outside.max(), reach)
    nodes = middle + half * ray * shrunk / reach.clamp(min=1e-9)
    n_tx = array.tx.shape[1]
    return nodes[:n_tx], nodes[n_tx:]


def draw_nodes(axes: Axes, positions: tuple[Tensor, Tensor], phase: Tensor, norm: Normalize, colours: str) -> None:
    """Tx as triangles and Rx as squares, coloured by phase [n_tx + n_rx]; a node without links has none."""
    style: dict[str, Any] = {"s": 110, "edgecolors": "#444444", "linewidths": 0.9, "cmap": colours, "norm": norm}
    phases = phase.split([len(position) for position in positions])
    for position, value, marker in zip(positions, phases, "^s", strict=True):
        x, y = position.numpy().T
        axes.scatter(x, y, c=value.numpy(), marker=marker, plotnonfinite=True, **style)


def draw_truth(axes: Axes, position: Tensor) -> None:
    x, y = position[:, :2].numpy().T
    axes.scatter(x, y, s=52, c=TRUTH, marker="x", linewidths=1.6, zorder=3, label="true")


def draw_scatterers(axes: Axes, scatterers: Scatterers, found: Tensor, colour: str) -> None:
    """Circles whose area is the strength relative to the strongest; filled if there is no true one."""
    strength = scatterers.reflectivity.detach().abs().cpu().double()
    area = 50 + 150 * strength / strength.max() if len(strength) else strength
    for mask, fill in ((found, "none"), (~found, colour + "66")):
        x, y = plain(scatterers.position)[mask][:, :2].numpy().T
        axes.scatter(x, y, s=area[mask].numpy(), facecolors=fill, edgecolors=colour, linewidths=2, zorder=4)


def levels(scatterers: Scatterers) -> Tensor:
    """Strength of every scatterer to the strongest one [S], [dB]."""
    strength = scatterers.reflectivity.detach().abs().cpu().double()
    return 20 * (strength / strength.max()).clamp(min=1e-10).log10() if len(strength) else strength


def number_scatterers(axes: Axes, scatterers: Scatterers) -> None:
    """Rank by strength beside every scatterer, of the strongest ones where there are many."""
    order = levels(scatterers).argsort(descending=True)[:MOST_NUMBERS]
    for rank, (x, y, *_) in enumerate(plain(scatterers.position)[order].tolist(), start=1):
        style: dict[str, Any] = {"xytext": (7, 6), "textcoords": "offset points", "zorder": 6}
        axes.annotate(f"{rank}", (x, y), fontsize=SMALL, **style)


def draw_ellipses(axes: Axes, scatterers: Scatterers, grid: PixelGrid, colour: str) -> int:
    """Ellipses that hold 95 % of a normal error of the position in the plane; returns how much they are enlarged.

    That is a power of ten, the same for all: a thousandth of the region would not be seen.
    """
    covariance = plain(scatterers.covariance)[:, :2, :2]
    told = covariance.isfinite().all(-1).all(-1)
    variance, axis = torch.linalg.eigh(torch.where(told[:, None, None], covariance, torch.eye(2).to(covariance)))
    half_axis = ELLIPSE_95 * variance.clamp(min=0).sqrt()
    span = float((grid.centre[0].amax(0) - grid.centre[0].amin(0))[:2].max() + grid.pixel[0])
    known = half_axis[told]
    if len(known) == 0:
        return 1
    room = LARGEST_ELLIPSE * span / float(known.max().clamp(min=1e-9 * span))
    enlarged = int(10 ** max(0, math.floor(math.log10(room))))
    angle = torch.rad2deg(torch.atan2(axis[:, 1, 0], axis[:, 0, 0]))
    for index in told.nonzero()[:, 0].tolist():
        x, y = plain(scatterers.position)[index, :2].tolist()
        width, height = (2 * enlarged * half_axis[index]).tolist()
        style: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": 1.6, "zorder": 5}
        axes.add_patch(Ellipse((x, y), width, height, angle=float(angle[index]), **style))
    return enlarged


def ellipse_mark(enlarged: int, colour: str) -> Line2D:
    """Legend of the ellipses."""
    label = "95 % ellipse" if enlarged == 1 else f"95 % ellipse x {enlarged}"
    return Line2D([], [], color=colour, linewidth=1.6, label=label)


def draw_stems(axes: Axes, phases: Mapping[str, Tensor], colours: Sequence[str], n_tx: int) -> None:
    """Phases of all nodes, Tx then Rx; the last set is drawn with stems over the others."""
    for number, ((name, phase), colour) in enumerate(zip(phases.items(), colours, strict=True)):
        node = torch.arange(1, len(phase) + 1)
        last = number == len(phases) - 1
        if last:
            axes.vlines(node.numpy(), 0, phase.numpy(), color=colour, linewidth=1.4, alpha=0.7)
        style: dict[str, Any] = {"markersize": 6} if last else {"markersize": 8, "markerfacecolor": "none"}
        axes.plot(node.numpy(), phase.numpy(), "o", color=colour, label=name, **style)
    axes.axhline(0, color=FRAME, linewidth=1, zorder=0)
    axes.axvline(n_tx + 0.5, color=FRAME, linewidth=1.2, linestyle=":")
    axes.set_xlim(0, len(phase) + 1)
    n_rx = len(phase) - n_tx
    axes.set_xticks([1 + (n_tx - 1) / 2, n_tx + 1 + (n_rx - 1) / 2], [f"{n_tx} Tx", f"{n_rx} Rx"])
    soft_frame(axes)
    axes.tick_params(axis="x", length=0, labelsize=MIDDLE)
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 0.98), "ncols": 2}
    axes.legend(fontsize=SMALL, frameon=False, handletextpad=0.2, **place)


def image_legend(false: bool) -> list[Line2D]:
    """Legend of the image panels, with or without the truth to tell right from false."""
    ring: dict[str, Any] = {
        "color": "#444444",
        "marker": "o",
        "linestyle": "none",
        "markersize": 12,
        "markeredgewidth": 2,
    }
    node: dict[str, Any] = {"color": "#444444", "linestyle": "none", "markerfacecolor": "white", "markersize": 10}
    truth = Line2D([], [], color=TRUTH, marker="x", linestyle="none", markersize=8, markeredgewidth=1.6, label="true")
    estimated = Line2D([], [], markerfacecolor="none", label="estimated", **ring)
    invented = Line2D([], [], markerfacecolor="#AAAAAA", label="estimated, false", **ring)
    nodes = [Line2D([], [], marker=marker, label=label, **node) for marker, label in (("^", "Tx"), ("s", "Rx"))]
    return [truth, estimated, invented, *nodes] if false else [estimated, *nodes]


def draw_title(axes: Axes, name: str, colour: str, detail: str) -> None:
    axes.set_title(detail, fontsize=MIDDLE, color="#333333")
    above: dict[str, Any] = {
        "xytext": (0, 27),
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "ha": "center",
    }
    axes.annotate(name, (0.5, 1.0), fontsize=LARGE, color=colour, fontweight="bold", **above)


def plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to(device="cpu", dtype=torch.float64)
