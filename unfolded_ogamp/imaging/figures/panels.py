"""Parts of figures, each drawn into given axes, in one style and to scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Ellipse, Patch, Rectangle
from torch import Tensor

from unfolded_ogamp.evaluation.style import FRAME, MIDDLE, SMALL, TRUTH, soft_frame
from unfolded_ogamp.imaging.estimate import NodeEstimate, Scatterers
from unfolded_ogamp.physics import NodeArray, PixelGrid

ELLIPSE_95 = math.sqrt(-2 * math.log(0.05))  # standard deviations of a normal error in a plane
LARGEST_ELLIPSE = 0.08  # of the side of the region
LARGEST_SHIFT = 0.15  # of the span of the nodes
LEAST_SHIFT = 1 / 500  # that is drawn, in wavelengths
MOST_NUMBERS = 20
MARGIN = 0.05  # around the drawing, as a share of its longest side
EDGE = "#444444"
HEAT = ListedColormap(colormaps["Greys"](torch.linspace(0, 0.55, 256).numpy()), name="light greys")


def draw_region(axes: Axes, grid: PixelGrid, probability: Tensor | None = None) -> None:
    """Outline of the region of interest; pixel probabilities [N] as a heat map, the largest along z where D = 3."""
    (left, bottom), (right, top) = (corner.tolist() for corner in _corners(grid))
    axes.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, edgecolor=EDGE))
    if probability is not None:
        centre, pixel = grid.centre[0], grid.pixel[0]
        column, row = ((centre[:, :2] - centre.amin(0)[:2]) / pixel).round().long().unbind(-1)
        shape = (int(row.max()) + 1, int(column.max()) + 1)
        image = torch.zeros(shape[0] * shape[1], dtype=torch.float64)
        image = image.scatter_reduce(0, row * shape[1] + column, plain(probability), "amax").reshape(shape)
        style: dict[str, Any] = {"cmap": HEAT, "vmin": 0, "vmax": 1, "interpolation": "nearest", "origin": "lower"}
        axes.imshow(image.numpy(), extent=(left, right, bottom, top), **style)


def set_view(axes: Axes, grid: PixelGrid, array: NodeArray | None = None) -> None:
    """Show the region of interest, and all nodes if an array is given, with both axes to one scale."""
    points = torch.stack(_corners(grid))
    if array is not None:
        points = torch.cat([points, array.tx[0, :, :2], array.rx[0, :, :2]])
    lower, upper = points.amin(0), points.amax(0)
    margin = MARGIN * (upper - lower).max()
    (left, bottom), (right, top) = (lower - margin).tolist(), (upper + margin).tolist()
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal", anchor="N")
    axes.locator_params(nbins=5)
    axes.set_xlabel("x [m]" if grid.centre.shape[2] == 2 else "x [m], seen along z", fontsize=MIDDLE)
    axes.set_ylabel("y [m]", fontsize=MIDDLE)
    soft_frame(axes)


def draw_nodes(axes: Axes, array: NodeArray, **colour: Any) -> None:
    """Tx as triangles and Rx as squares, those within the view of the axes.

    Args:
        axes: where to draw; their limits are set.
        array: a batch of one.
        colour: `c` [n_tx + n_rx], Tx first, `cmap` and `norm` of `Axes.scatter`; none for white.
    """
    values = colour.pop("c", None)
    low, high = torch.tensor([axes.get_xlim(), axes.get_ylim()], dtype=array.tx.dtype).T
    n_tx = array.tx.shape[1]
    style: dict[str, Any] = {"s": 80, "edgecolors": EDGE, "linewidths": 0.9, "plotnonfinite": True, "zorder": 2}
    for nodes, marker, side in ((array.tx[0], "^", slice(None, n_tx)), (array.rx[0], "s", slice(n_tx, None))):
        shown = ((low <= nodes[:, :2]) & (nodes[:, :2] <= high)).all(-1)
        x, y = nodes[shown, :2].numpy().T
        face: Any = "white" if values is None else values[side][shown].numpy()
        axes.scatter(x, y, c=face, marker=marker, **style, **colour)


def draw_shifts(axes: Axes, array: NodeArray, nodes: NodeEstimate, colour: str) -> int:
    """Lines from the listed to the estimated positions of the nodes of a batch of one; returns their enlargement.

    The factor is a power of ten: shifts of a fraction of a wavelength would not be visible. It is 0 without shifts.
    """
    listed = torch.cat([array.tx[0], array.rx[0]])[:, :2]
    shift = torch.cat([plain(nodes.tx_position[0]), plain(nodes.rx_position[0])])[:, :2] - listed
    longest, span = float(shift.norm(dim=1).max()), float((listed.amax(0) - listed.amin(0)).max())
    if longest < LEAST_SHIFT * float(array.wavelength):
        return 0
    factor = int(10 ** max(0, math.floor(math.log10(LARGEST_SHIFT * span / longest))))
    for (x, y), (right, up) in zip(listed.tolist(), (factor * shift).tolist(), strict=True):
        axes.plot([x, x + right], [y, y + up], color=colour, linewidth=1.6, zorder=3)
    return factor


def draw_extents(axes: Axes, scatterers: Scatterers, colour: str) -> None:
    """Discs of the root mean square radius of extended targets."""
    for (x, y, *_), radius in zip(plain(scatterers.position).tolist(), plain(scatterers.extent).tolist(), strict=True):
        if radius > 0:
            axes.add_patch(Circle((x, y), radius, facecolor=colour + "44", edgecolor="none", zorder=3))


def draw_truth(axes: Axes, position: Tensor) -> None:
    """True scatterers as crosses."""
    x, y = position[:, :2].numpy().T
    axes.scatter(x, y, s=52, c=TRUTH, marker="x", linewidths=1.6, zorder=3, label="true")


def draw_scatterers(axes: Axes, scatterers: Scatterers, found: Tensor, colour: str) -> None:
    """Circles whose area is the strength relative to the strongest; filled where there is no true scatterer."""
    strength = scatterers.reflectivity.detach().abs().cpu().double()
    area = 50 + 150 * strength / strength.max() if len(strength) else strength
    for mask, fill in ((found, "none"), (~found, colour + "66")):
        x, y = plain(scatterers.position)[mask][:, :2].numpy().T
        axes.scatter(x, y, s=area[mask].numpy(), facecolors=fill, edgecolors=colour, linewidths=2, zorder=4)


def levels(scatterers: Scatterers) -> Tensor:
    """Strength of every scatterer relative to the strongest one [S], [dB]."""
    strength = scatterers.reflectivity.detach().abs().cpu().double()
    return 20 * (strength / strength.max()).clamp(min=1e-10).log10() if len(strength) else strength


def number_scatterers(axes: Axes, scatterers: Scatterers) -> None:
    """Rank by strength beside the strongest scatterers."""
    order = levels(scatterers).argsort(descending=True)[:MOST_NUMBERS]
    for rank, (x, y, *_) in enumerate(plain(scatterers.position)[order].tolist(), start=1):
        style: dict[str, Any] = {"xytext": (7, 6), "textcoords": "offset points", "zorder": 6, "annotation_clip": True}
        axes.annotate(f"{rank}", (x, y), fontsize=SMALL, **style)


def draw_ellipses(axes: Axes, scatterers: Scatterers, grid: PixelGrid, colour: str) -> int:
    """95 % confidence ellipses of the positions in the plane; returns the factor by which all are enlarged.

    The factor is a power of ten: an ellipse of a thousandth of the region would not be visible.
    """
    covariance = plain(scatterers.covariance)[:, :2, :2]
    finite = covariance.isfinite().all(-1).all(-1)
    variance, axis = torch.linalg.eigh(torch.where(finite[:, None, None], covariance, torch.eye(2).to(covariance)))
    half_axis = ELLIPSE_95 * variance.clamp(min=0).sqrt()
    if not finite.any():
        return 1
    lower, upper = _corners(grid)
    span = float((upper - lower).max())
    enlargement = LARGEST_ELLIPSE * span / float(half_axis[finite].max().clamp(min=1e-9 * span))
    factor = int(10 ** max(0, math.floor(math.log10(enlargement))))
    angle = torch.rad2deg(torch.atan2(axis[:, 1, 0], axis[:, 0, 0]))
    for index in finite.nonzero()[:, 0].tolist():
        x, y = plain(scatterers.position)[index, :2].tolist()
        width, height = (2 * factor * half_axis[index]).tolist()
        style: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": 1.6, "zorder": 5}
        axes.add_patch(Ellipse((x, y), width, height, angle=float(angle[index]), **style))
    return factor


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


def legend_above(axes: Axes, n_columns: int) -> None:
    """Legend of a panel above it."""
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 0.98), "borderpad": 0.2}
    axes.legend(fontsize=SMALL, frameon=False, handletextpad=0.4, columnspacing=1.2, ncols=n_columns, **place)


def legend_marks(truth: bool) -> list[Artist]:
    """Marks of maps and images; without `truth`, no mark for true or false scatterers."""
    mark: dict[str, Any] = {"color": EDGE, "linestyle": "none"}
    ring: dict[str, Any] = {**mark, "marker": "o", "markersize": 12, "markeredgewidth": 2}
    node: dict[str, Any] = {**mark, "markerfacecolor": "white", "markersize": 10}
    true = Line2D([], [], color=TRUTH, marker="x", linestyle="none", markersize=8, markeredgewidth=1.6, label="true")
    estimated = Line2D([], [], markerfacecolor="none", label="estimated (area: strength)", **ring)
    false = Line2D([], [], markerfacecolor="#AAAAAA", label="estimated, false", **ring)
    return [
        *([true, estimated, false] if truth else [estimated]),
        Patch(facecolor=HEAT(1.0), label="pixel probability (dark: 1)"),
        *(Line2D([], [], marker=marker, label=label, **node) for marker, label in (("^", "Tx"), ("s", "Rx"))),
        Patch(fill=False, edgecolor=EDGE, label="region of interest"),
    ]


def plain(tensor: Tensor) -> Tensor:
    """The tensor without gradient, in double precision on the CPU."""
    return tensor.detach().to(device="cpu", dtype=torch.float64)


def _corners(grid: PixelGrid) -> tuple[Tensor, Tensor]:
    """Lower and upper corner of the region of interest in the plane [2], [m]."""
    centre, half = grid.centre[0][:, :2], grid.pixel[0] / 2
    return centre.amin(0) - half, centre.amax(0) + half
