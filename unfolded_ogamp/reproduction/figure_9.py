"""Figure 9: convergence of the imaging iterations t (a) and of the alternations T (b), (c)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from unfolded_ogamp.data import Scenario, evaluation_scenes
from unfolded_ogamp.estimate import Estimate, History
from unfolded_ogamp.estimators import PRESETS, AlternatingEstimator, AlternatingSettings, GreedyEstimator, alternating
from unfolded_ogamp.evaluation import SceneMetrics, joint_bound, scene_metrics, statistic_of
from unfolded_ogamp.networks import UnfoldedOGAMP
from unfolded_ogamp.physics import Csi, Scene
from unfolded_ogamp.reproduction.curves import (
    GREEDY,
    NETWORK,
    PAPER,
    PAPER_FIXED,
    PAPER_MOVING,
    TUNED,
    TUNED_IDEAL,
    paper_settings,
    phases_known,
)
from unfolded_ogamp.reproduction.sweep import BATCH, Curve, OnProgress, Point, Row, Size, statistic_rows, sweep
from unfolded_ogamp.reproduction.tables import curve_table

ITERATIONS = 100
PAPER_BLOCKS, TUNED_BLOCKS = 40, 100
ALTERNATIONS = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 100.0)
SIZES = {"tiny": Size(1, (1.0, 2.0)), "quick": Size(4, ALTERNATIONS), "full": Size(50, ALTERNATIONS)}


@dataclass
class Steps:
    """Scenes done and to do, told to `on_progress`."""

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


def imaging_settings(sparsity: float) -> dict[str, AlternatingSettings]:
    """What converges over t: one long block of the paper's imaging that no rule stops, and the tuned one."""
    moving, fixed = (paper_settings(preset, sparsity, 1) for preset in ("og_amp_paper", "og_amp_paper_fixed"))
    return {
        PAPER_MOVING: replace(moving, iterations=ITERATIONS, tolerance=0.0),
        PAPER_FIXED: replace(fixed, iterations=ITERATIONS, tolerance=0.0),
        TUNED_IDEAL: phases_known(PRESETS["og_amp"](), ITERATIONS // 2),
    }


def after_blocks(
    estimator: AlternatingEstimator | UnfoldedOGAMP, scene: Scene, csi: Csi, counts: Collection[int]
) -> Iterator[tuple[int, Estimate]]:
    """The estimates after some numbers of blocks, all from one run; those of the network once they are refined."""
    if isinstance(estimator, UnfoldedOGAMP):
        yield from _after_network_blocks(estimator, scene, csi, counts)
        return
    settings = estimator.settings
    problem = alternating.pose_problem(csi, scene.array, scene.grid, settings)
    entries: list[History] = []
    for count, state in enumerate(estimator.states(problem, entries), start=1):
        if count in counts:
            yield count, alternating.conclude(state, problem, settings, entries)


def _after_network_blocks(
    network: UnfoldedOGAMP, scene: Scene, csi: Csi, counts: Collection[int]
) -> Iterator[tuple[int, Estimate]]:
    posed = network.pose(csi, scene.array, scene.grid)
    states = network.states(posed.problem, posed.atlas, posed.phases)
    for count, state in enumerate(states, start=1):
        if count in counts:
            refined = network.refine(state, posed.problem, posed.atlas)
            yield count, network.conclude(refined, posed, scene.grid.centre.dtype)


def table(rows: Sequence[Row]) -> str:
    """Chamfer distance and phase error over T."""
    chosen = [row for row in rows if row["part"] == "T"]
    return "\n".join(curve_table(chosen, "iteration", "T", metric) for metric in ("chamfer", "phase_rmse"))


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
