"""Figure 5: the toy example in panels, as a picture of its first scene and as statistics over many scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy.stats import binom

from unfolded_ogamp.evaluation.compare import compare
from unfolded_ogamp.evaluation.statistics import CONFIDENCE, statistic_of
from unfolded_ogamp.evaluation.style import COLOURS, FRAME, LARGE, MIDDLE, SMALL, soft_frame
from unfolded_ogamp.evaluation.tables import markdown
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.figures.panels import HEAT
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator, AlternatingSettings
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SCORING
from unfolded_ogamp.imaging.study.curves import GREEDY, NETWORK, paper_settings, phases_known
from unfolded_ogamp.imaging.study.sweep import BATCH, METRICS, Size
from unfolded_ogamp.scenes import evaluation_scenes
from unfolded_ogamp.system import OnProgress, Row

TOY = Scenario(name="toy", n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.05)
SIZES = {"tiny": Size(3), "quick": Size(50), "full": Size(200)}

CROSS, RING, BOX = "#D62728", COLOURS[1], "#9CC3DD"  # true or printed, estimated or median, middle half
N_COLUMNS = 4
SMALLEST = 5e-4  # where the axis of distances begins, [m]


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        letter: letter of the panel; (a) to (h) are those of the paper.
        title: scenes and estimator in words.
        scenario: scenario of its scenes.
        estimator: estimator of the image.
        printed: chamfer distance in the paper [m]; None for panels that are not in the paper.
    """

    letter: str
    title: str
    scenario: Scenario
    estimator: Estimator
    printed: float | None = None


def panels(network: Estimator) -> list[Panel]:
    """The eight panels of the paper, then the tuned estimator with and without phase offsets, greedy and network."""
    on_grid, off_grid = replace(TOY, off_grid=False), TOY
    on_grid_ideal, off_grid_ideal = replace(on_grid, phase_std=0.0), replace(off_grid, phase_std=0.0)
    tuned = PRESETS["og_amp"]()

    def paper(preset: str, blocks: int = 1) -> Estimator:
        return AlternatingEstimator(paper_settings(preset, TOY.sparsity, blocks))

    return [
        Panel("a", "on grid, GAMP, no offsets", on_grid_ideal, paper("gamp_off_grid"), 0.0375),
        Panel("b", "on grid, GAMP, offsets", on_grid, paper("gamp_off_grid"), 0.1120),
        Panel("c", "GAMP, no offsets", off_grid_ideal, paper("gamp_off_grid"), 0.1612),
        Panel("d", "GAMP, offsets", off_grid, paper("gamp_off_grid"), 0.1854),
        Panel("e", "OG-AMP, no offsets, fixed", off_grid_ideal, paper("og_amp_paper_fixed"), 0.1144),
        Panel("f", "OG-AMP, no offsets", off_grid_ideal, paper("og_amp_paper"), 0.0413),
        Panel("g", "OG-AMP, offsets, no AO", off_grid, paper("og_amp_paper"), 0.1395),
        Panel("h", "OG-AMP, offsets, AO", off_grid, paper("og_amp_paper", AlternatingSettings().blocks), 0.0453),
        Panel("i", "tuned, phases known", off_grid_ideal, AlternatingEstimator(phases_known(tuned, 20))),
        Panel("j", "tuned OG-AMP, AO", off_grid, AlternatingEstimator(tuned)),
        Panel("k", GREEDY, off_grid, GreedyEstimator()),
        Panel("l", NETWORK, off_grid, network),
    ]


def measure(size: Size, seed: int, network: Estimator, on_progress: OnProgress | None = None) -> list[Row]:
    """Rows of two kinds, both labelled by `panel` and `title`.

    Statistics have the metric of `METRICS`, mean, median, [low, high] of the mean and of the median, the quartiles, n
    and the printed value of the paper. Pictures have the metric "pixel" (the probability of a pixel), "true" or
    "estimated" (the reflectivity of a scatterer) with x, y [m] and value.
    """
    shown = panels(network)
    rows: list[Row] = []
    for number, panel in enumerate(shown):

        def advance(_: str, count: int, before: int = number * size.n_scenes) -> None:
            if on_progress is not None:
                on_progress(before + count, len(shown) * size.n_scenes)

        labels: Row = {"panel": panel.letter, "title": panel.title}
        scenes = evaluation_scenes(panel.scenario, size.n_scenes, 5 * BATCH, seed)
        measured = compare({panel.title: panel.estimator}, scenes, TOY.name, SCORING, advance)
        for metric in METRICS:
            printed: Row = {} if panel.printed is None or metric != "chamfer" else {"printed": panel.printed}
            value = np.array([row.value(metric) for row in measured])
            rows.append({**labels, "metric": metric, **distribution(value), **printed})
        rows += [{**labels, **row} for row in _picture(panel, seed)]
    return rows


def table(rows: Sequence[Row]) -> str:
    """A line per panel: the number printed in the paper beside the statistics of the draws."""
    header = ["", "panel", "paper's CD [m]", "CD, median [m]", "CD, mean [m]", "squared CD (64), median [m^2]", "mean"]
    statistic = {(row["panel"], row["metric"]): row for row in rows if "n" in row}
    lines = []
    for letter, title in dict.fromkeys((str(row["panel"]), str(row["title"])) for row in rows):
        chamfer, squared = statistic[letter, "chamfer"], statistic[letter, "chamfer_squared"]
        printed = f"{float(chamfer['printed']):.4f}" if "printed" in chamfer else "-"
        numbers = [_interval(row, middle) for row in (chamfer, squared) for middle in ("median", "mean")]
        success = f"{100 * float(statistic[letter, 'success']['mean']):.1f}"
        lines.append([letter, title, printed, *numbers, success])
    count = f"n = {statistic['a', 'chamfer']['n']} draws"
    return markdown([count, *header[1:], "success [%]"], lines)


def draw(rows: Sequence[Row]) -> Figure:
    """The first scene on the left, chamfer distances of all scenes on the right."""
    shown = list(dict.fromkeys((str(row["panel"]), str(row["title"])) for row in rows))
    figure = Figure(figsize=(18.0, 8.8), layout="constrained", facecolor="white")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[10.4, 7.6])[0]
    axes = left.subplots(-(-len(shown) // N_COLUMNS), N_COLUMNS, squeeze=False, sharex=True, sharey=True)
    for panel, (letter, title) in zip(axes.flat, shown, strict=True):
        _draw_picture(panel, [row for row in rows if row["panel"] == letter])
        panel.set_title(f"({letter}) {title}", fontsize=SMALL - 2)
    left.supxlabel("x [m]", fontsize=MIDDLE)
    left.supylabel("y [m]", fontsize=MIDDLE)
    mark: dict[str, Any] = {"linestyle": "none", "markeredgewidth": 2}
    handles = [
        Line2D([], [], color=CROSS, marker="x", markersize=8, label="true", **mark),
        Line2D([], [], color=RING, marker="o", markersize=9, markerfacecolor="none", label="estimated", **mark),
        Patch(facecolor=HEAT(1.0), label="pixel probability (dark: 1)"),
    ]
    left.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=MIDDLE, frameon=False)
    chamfer = [row for row in rows if row["metric"] == "chamfer"]
    _draw_distances(right.subplots(), chamfer)
    handles = [
        Line2D([], [], color=CROSS, marker="X", linestyle="none", markersize=11, label="printed in the paper"),
        Line2D([], [], color=RING, marker="o", linewidth=3, label="median, 95 % interval"),
        Patch(facecolor=BOX, label="middle half"),
    ]
    right.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=SMALL, frameon=False)
    figure.suptitle(f"Figure 5: one scene, and the chamfer distances of {chamfer[0]['n']}", fontsize=LARGE)
    return figure


def distribution(value: NDArray[np.float64]) -> Row:
    """Statistic of the scenes, quartiles, and the 95 % confidence interval of the median from order statistics."""
    statistic, ordered = statistic_of(value), np.sort(value[~np.isnan(value)])
    if statistic.n == 0:
        return {"n": 0}
    rank = int(binom.ppf((1 - CONFIDENCE) / 2, statistic.n, 0.5))
    lower, upper = np.quantile(ordered, [0.25, 0.75])
    return {
        **{"mean": statistic.mean, "low": statistic.low, "high": statistic.high, "n": statistic.n},
        **{"median": statistic.median, "median_low": float(ordered[max(rank - 1, 0)])},
        **{"median_high": float(ordered[min(statistic.n - rank, statistic.n - 1)])},
        **{"lower_quartile": float(lower), "upper_quartile": float(upper)},
    }


def _picture(panel: Panel, seed: int) -> list[Row]:
    """The first scene: pixels with their probability, true and estimated scatterers with their reflectivity."""
    scene, csi = next(evaluation_scenes(panel.scenario, 1, 1, seed))
    with torch.inference_mode():
        estimate = panel.estimator(csi, scene.array, scene.grid)
    found = estimate.scatterers[0]
    kinds = [
        ("pixel", scene.grid.centre[0], estimate.pixel_probability[0]),
        ("true", scene.position[0], scene.reflectivity[0].abs()),
        ("estimated", found.position, found.reflectivity.abs()),
    ]
    return [
        {"metric": kind, "x": x, "y": y, "value": value}
        for kind, position, values in kinds
        for (x, y), value in zip(position.tolist(), values.tolist(), strict=True)
    ]


def _draw_picture(axes: Axes, rows: Sequence[Row]) -> None:
    x, y, value = _columns(rows, "pixel")
    columns, rows_of_pixels = np.unique(x.round(6)), np.unique(y.round(6))
    half = (columns[1] - columns[0]) / 2
    image = np.zeros((len(rows_of_pixels), len(columns)))
    image[np.searchsorted(rows_of_pixels, y.round(6)), np.searchsorted(columns, x.round(6))] = value
    extent = (columns[0] - half, columns[-1] + half, rows_of_pixels[0] - half, rows_of_pixels[-1] + half)
    axes.imshow(image, origin="lower", extent=extent, cmap=HEAT, vmin=0, vmax=1, interpolation="nearest")
    x, y, _ = _columns(rows, "estimated")
    axes.scatter(x, y, s=70, facecolors="none", edgecolors=RING, linewidths=1.6)
    x, y, _ = _columns(rows, "true")
    axes.scatter(x, y, s=45, c=CROSS, marker="x", linewidths=1.8)
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    soft_frame(axes)


def _draw_distances(axes: Axes, rows: Sequence[Row]) -> None:
    """A line per panel: box of the quartiles, median with its interval, and the paper's number as a cross."""
    for number, row in enumerate(rows):
        low, high, middle = (float(row[key]) for key in ("lower_quartile", "upper_quartile", "median"))
        low = max(low, SMALLEST)
        axes.barh(number, high - low, left=low, height=0.62, color=BOX, linewidth=0)
        axes.hlines(number, float(row["median_low"]), float(row["median_high"]), color=RING, linewidth=3)
        axes.plot(middle, number, "o", color=RING, markersize=8)
        if "printed" in row:
            axes.plot(float(row["printed"]), number, "X", color=CROSS, markersize=11, markeredgecolor="white")
    axes.set_xscale("log")
    axes.set_xlim(left=SMALLEST)
    axes.set_yticks(range(len(rows)), [f"({row['panel']}) {row['title']}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("chamfer distance [m]", fontsize=MIDDLE)
    axes.grid(True, axis="x", color=FRAME, alpha=0.5)
    soft_frame(axes)
    axes.tick_params(axis="y", labelsize=SMALL, length=0)


def _columns(rows: Sequence[Row], metric: str) -> list[np.ndarray]:
    """x [m], y [m] and value of one kind of row."""
    chosen = [row for row in rows if row["metric"] == metric]
    return [np.array([row[key] for row in chosen], float) for key in ("x", "y", "value")]


def _interval(row: Row, middle: str) -> str:
    low, high = ("median_low", "median_high") if middle == "median" else ("low", "high")
    return f"{row[middle]:.4f} [{row[low]:.4f}, {row[high]:.4f}]"
