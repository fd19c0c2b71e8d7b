"""Figure 9: convergence over the imaging iterations t (a) and over the alternations T (b), (c)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib.figure import Figure

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.evaluation.statistics import statistic_of
from unfolded_ogamp.evaluation.style import LARGE, MIDDLE, SMALL, TRUTH
from unfolded_ogamp.imaging.estimate import Estimate, History
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.greedy.restarts import Searched
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp import alternating
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator, AlternatingSettings
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SceneMetrics, scene_metrics
from unfolded_ogamp.imaging.study.curves import (
    GREEDY,
    INTERVAL,
    NETWORK,
    PAPER,
    PAPER_FIXED,
    PAPER_MOVING,
    STYLES,
    TUNED,
    TUNED_IDEAL,
    draw_curve,
    log_axis,
    paper_settings,
    phases_known,
)
from unfolded_ogamp.imaging.study.figures_6_to_8 import AXIS_TITLES
from unfolded_ogamp.imaging.study.sweep import (
    BATCH,
    JOINT,
    Curve,
    Point,
    Size,
    curve_table,
    statistic_rows,
    sweep,
)
from unfolded_ogamp.physics import Csi, Scene
from unfolded_ogamp.scenes import evaluation_scenes
from unfolded_ogamp.system import OnProgress, Row

ITERATIONS = 100
PAPER_BLOCKS, TUNED_BLOCKS = 40, 100
STOP = 1e-4  # the paper's tolerance of the stop rule
ALTERNATIONS = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 100.0)
SIZES = {"tiny": Size(1, (1.0, 2.0)), "quick": Size(4, ALTERNATIONS), "full": Size(50, ALTERNATIONS)}


@dataclass
class Steps:
    """Numbers of scenes done and to do, reported to `on_progress`."""

    total: int
    on_progress: OnProgress | None
    done: int = 0

    def advance(self, count: int) -> None:
        self.done += count
        if self.on_progress is not None:
            self.on_progress(self.done, self.total)


def measure(size: Size, seed: int, network: UnfoldedOGAMP, on_progress: OnProgress | None = None) -> list[Row]:
    """Rows labelled by `part` ("t" or "T"), `iteration` and `curve`; `size.values` are numbers of alternations T.

    Over t, on scenes without phase offsets, the metrics are the residual over the noise variance and the change of the
    stop rule (erratum 8); over T they are those of `sweep`. Greedy and the bounds, which do not alternate, have
    iteration 0.
    """
    scenario, counts = Scenario(), {int(value) for value in size.values}
    paper = paper_settings("og_amp_paper", scenario.sparsity, PAPER_BLOCKS)
    tuned = replace(PRESETS["og_amp"](), blocks=TUNED_BLOCKS, phase_tolerance=0.0)
    alternations: dict[str, AlternatingEstimator | UnfoldedOGAMP] = {
        PAPER: AlternatingEstimator(replace(paper, tolerance=0.0)),
        TUNED: AlternatingEstimator(tuned),
        NETWORK: network,
    }
    imaging = imaging_settings(scenario.sparsity)
    steps = Steps(size.n_scenes * (len(imaging) + len(alternations) + 1), on_progress)
    rows = []
    for curve, settings in imaging.items():
        rows += _over_iterations(curve, settings, replace(scenario, phase_std=0.0), size.n_scenes, seed, steps)
    for curve, alternation in alternations.items():
        rows += _over_alternations(curve, alternation, counts, scenario, size.n_scenes, seed, steps)
    point = Point({"part": "T", "iteration": 0.0}, scenario, [Curve(GREEDY, GreedyEstimator())])
    rows += sweep([point], size.n_scenes, seed)
    steps.advance(size.n_scenes)
    return rows


def table(rows: Sequence[Row]) -> str:
    """Chamfer distance and phase error over T."""
    chosen = [row for row in rows if row["part"] == "T"]
    return "\n".join(curve_table(chosen, "iteration", "T", metric) for metric in ("chamfer", "phase_rmse"))


def draw(rows: Sequence[Row]) -> Figure:
    """Residual and change over t, chamfer distance and phase error over T."""
    figure = Figure(figsize=(15.0, 10.0), layout="constrained", facecolor="white")
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    (residual, change), (chamfer, phase) = (side.subplots(2, 1, sharex=True) for side in (left, right))
    imaging = [row for row in rows if row["part"] == "t"]
    for axes, metric, level, title in (
        (residual, "residual_over_noise", 1.0, "(a) residual over the noise variance (dotted: noise alone)"),
        (change, "change", STOP, "(a) mean change of the reflectivity (dotted: stop rule of the paper)"),
    ):
        for curve in (PAPER_MOVING, PAPER_FIXED, TUNED_IDEAL):
            draw_curve(axes, imaging, "iteration", curve, metric)
        axes.axhline(level, color=TRUTH, linewidth=1.4, linestyle=":")
        log_axis(axes)
        axes.set_title(title, fontsize=MIDDLE)
    change.set_xlabel("imaging iteration t, no phase offsets", fontsize=MIDDLE)

    alternations = [row for row in rows if row["part"] == "T"]
    moving = [row for row in alternations if float(row["iteration"]) > 0]
    for axes, metric, letter in ((chamfer, "chamfer", "b"), (phase, "phase_rmse", "c")):
        for curve in (PAPER, TUNED, NETWORK):
            draw_curve(axes, moving, "iteration", curve, metric)
        for curve in (GREEDY, JOINT):
            (row,) = (row for row in alternations if row["curve"] == curve and row["metric"] == metric)
            colour, _ = STYLES[curve]
            axes.axhline(float(row["mean"]), color=colour, linewidth=1.8, linestyle="--", label=curve)
        axes.set_xscale("log")
        log_axis(axes)
        axes.set_title(f"({letter}) {AXIS_TITLES[metric]}", fontsize=MIDDLE)
    phase.set_xlabel(r"alternation T, $\sigma_\phi$ = 0.2 $\pi$", fontsize=MIDDLE)
    for side, axes, n_columns in ((left, residual, 2), (right, chamfer, 3)):
        handles, _ = axes.get_legend_handles_labels()
        side.legend(
            handles=[*handles, INTERVAL], loc="outside lower center", ncols=n_columns, fontsize=SMALL, frameon=False
        )
    figure.suptitle("Figure 9: convergence of the iterations and of the alternations", fontsize=LARGE)
    return figure


def imaging_settings(sparsity: float) -> dict[str, AlternatingSettings]:
    """Imaging alone: the paper's in one long block without a stop rule, and the tuned one."""
    moving, fixed = (paper_settings(preset, sparsity, 1) for preset in ("og_amp_paper", "og_amp_paper_fixed"))
    return {
        PAPER_MOVING: replace(moving, iterations=ITERATIONS, tolerance=0.0),
        PAPER_FIXED: replace(fixed, iterations=ITERATIONS, tolerance=0.0),
        TUNED_IDEAL: phases_known(PRESETS["og_amp"](), ITERATIONS // 2),
    }


def after_blocks(
    estimator: AlternatingEstimator | UnfoldedOGAMP, scene: Scene, csi: Csi, counts: Collection[int]
) -> Iterator[tuple[int, Estimate]]:
    """Estimates after each number of blocks in `counts`, all from one run; those of the network are refined first."""
    if isinstance(estimator, UnfoldedOGAMP):
        yield from _after_network_blocks(estimator, scene, csi, counts)
        return
    settings = estimator.settings
    problem = alternating.pose_problem(csi, scene.array, scene.grid, settings)
    entries: list[History] = []
    for count, state in enumerate(estimator.states(problem, entries), start=1):
        if count in counts:
            yield count, alternating.to_estimate(state, problem, settings, entries)


def _after_network_blocks(
    network: UnfoldedOGAMP, scene: Scene, csi: Csi, counts: Collection[int]
) -> Iterator[tuple[int, Estimate]]:
    posed = network.pose(csi, scene.array, scene.grid)
    states = network.states(posed.problem, posed.search_grid, posed.phases)
    for count, state in enumerate(states, start=1):
        if count in counts:
            refined = network.refine(state, posed.problem, posed.search_grid)
            found = Searched.of(refined, posed.problem)
            yield count, network.to_estimate(found, posed, scene.grid.centre.dtype)


def _over_iterations(
    curve: str, settings: AlternatingSettings, scenario: Scenario, n_scenes: int, seed: int, steps: Steps
) -> list[Row]:
    residual, change = [], []
    for scene, csi in evaluation_scenes(scenario, n_scenes, BATCH, seed):
        history = AlternatingEstimator(settings)(csi, scene.array, scene.grid).history
        residual += (history.residual / scene.noise_variance[:, None]).tolist()
        change += history.change.tolist()
        steps.advance(len(history.change))
    rows: list[Row] = []
    for index, (left, moved) in enumerate(zip(np.array(residual).T, np.array(change).T, strict=True), start=1):
        statistics = {"residual_over_noise": statistic_of(left), "change": statistic_of(moved)}
        rows += statistic_rows({"part": "t", "iteration": float(index), "curve": curve}, statistics)
    return rows


def _over_alternations(
    curve: str,
    estimator: AlternatingEstimator | UnfoldedOGAMP,
    counts: Collection[int],
    scenario: Scenario,
    n_scenes: int,
    seed: int,
    steps: Steps,
) -> list[Row]:
    measured: dict[int, list[SceneMetrics]] = {}
    with torch.inference_mode():
        for scene, csi in evaluation_scenes(scenario, n_scenes, BATCH, seed):
            bounds = [joint_bound(scene, index) for index in range(len(csi.value))]
            for count, estimate in after_blocks(estimator, scene, csi, counts):
                metrics = [scene_metrics(scene, estimate, index, bound) for index, bound in enumerate(bounds)]
                measured.setdefault(count, []).extend(metrics)
            steps.advance(len(bounds))
    rows: list[Row] = []
    for count, metrics in measured.items():
        names = ("chamfer", "chamfer_squared", "phase_rmse")
        statistics = {name: statistic_of([getattr(each, name) for each in metrics]) for name in names}
        rows += statistic_rows({"part": "T", "iteration": float(count), "curve": curve}, statistics)
    return rows
