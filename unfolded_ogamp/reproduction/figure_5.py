"""Figure 5: the toy example, panel by panel, over many draws and as a picture of the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom

from unfolded_ogamp.data import Scenario, evaluation_scenes
from unfolded_ogamp.estimate import Estimator
from unfolded_ogamp.estimators import PRESETS, AlternatingEstimator, AlternatingSettings, GreedyEstimator
from unfolded_ogamp.evaluation import compare
from unfolded_ogamp.evaluation.compare import CONFIDENCE, statistic_of
from unfolded_ogamp.reproduction.curves import GREEDY, NETWORK, paper_settings, phases_known
from unfolded_ogamp.reproduction.sweep import BATCH, METRICS, OnProgress, Row, Size
from unfolded_ogamp.reproduction.tables import markdown

TOY = Scenario(name="toy", n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.05)
SIZES = {"tiny": Size(3), "quick": Size(50), "full": Size(200)}


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        letter: the paper's for (a) to (h).
        title: what is estimated how.
        scenario: what its scenes are drawn from.
        estimator: of the image.
        printed: chamfer distance that the paper prints under it [m]; None for panels that it does not have.
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
    and what the paper prints. Pictures have the metric "pixel" (the probability of a pixel), "true" or "estimated" (the
    reflectivity of a scatterer) with x, y [m] and value.
    """
    shown = panels(network)
    rows: list[Row] = []
    for number, panel in enumerate(shown):

        def advance(_: str, count: int, before: int = number * size.n_scenes) -> None:
            if on_progress is not None:
                on_progress(before + count, len(shown) * size.n_scenes)

        labels: Row = {"panel": panel.letter, "title": panel.title}
        scenes = evaluation_scenes(panel.scenario, size.n_scenes, 5 * BATCH, seed)
        measured = compare({panel.title: panel.estimator}, scenes, TOY.name, advance)
        for metric in METRICS:
            printed: Row = {} if panel.printed is None or metric != "chamfer" else {"printed": panel.printed}
            value = np.array([row.value(metric) for row in measured])
            rows.append({**labels, "metric": metric, **distribution(value), **printed})
        rows += [{**labels, **row} for row in _picture(panel, seed)]
    return rows


def table(rows: Sequence[Row]) -> str:
    """A line per panel: what the paper prints beside the median over the draws."""
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


def distribution(value: NDArray[np.float64]) -> Row:
    """Statistic of the draws, the quartiles, and the order statistics that hold the median at 95 % confidence."""
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


def _interval(row: Row, middle: str) -> str:
    low, high = ("median_low", "median_high") if middle == "median" else ("low", "high")
    return f"{row[middle]:.4f} [{row[low]:.4f}, {row[high]:.4f}]"
