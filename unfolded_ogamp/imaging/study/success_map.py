"""Success over the numbers of nodes and of scatterers, and the line beyond which unknowns outnumber equations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from unfolded_ogamp.evaluation.compare import compare, summarise
from unfolded_ogamp.evaluation.style import COLOURS, LARGE, MIDDLE, SMALL, soft_frame
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.greedy.persistence import Budget
from unfolded_ogamp.imaging.greedy.settings import GreedySettings, RestartSettings, StepSettings
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import SCORING
from unfolded_ogamp.imaging.study.sweep import BATCH, Size
from unfolded_ogamp.scenes import evaluation_scenes
from unfolded_ogamp.system import OnProgress, Row

REGION = Scenario(name="success_map", pixels=(20, 20))
SIZES = {
    "tiny": Size(2, (4.0,), (1.0, 16.0)),
    "quick": Size(4, (6.0, 8.0, 12.0, 16.0), (4.0, 8.0, 16.0, 32.0)),
    "full": Size(
        100, (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0), (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
    ),
}
# phases keep their given values: they are fitted from `phase_count` scatterers on, more than any scene has
KNOWN = GreedySettings(step=StepSettings(phase_count=10**6), restarts=RestartSettings(focus_gain=math.inf, together=1))
COLOUR_MAP = "cividis"


@dataclass(frozen=True)
class Case:
    """A kind of node phases, and the greedy estimator for it."""

    title: str
    scenario: Scenario
    estimator: GreedyEstimator
    phases_known: bool = False


CASES: Mapping[str, Case] = {
    "known": Case("node phases known", replace(REGION, phase_std=0.0), GreedyEstimator(KNOWN, Budget(starts=1)), True),
    "residual": Case(r"offsets of $\sigma_\phi$ = 0.2 $\pi$", REGION, GreedyEstimator()),
    "unknown": Case("no synchronisation at all", replace(REGION, phase_model="uniform"), GreedyEstimator()),
}


def most_scatterers(n_nodes: float, dimension: int, phases_known: bool) -> float:
    """Number of scatterers S at which unknowns are as many as equations, for `n_nodes` Tx and as many Rx.

    A link is one complex equation: subcarriers 120 kHz apart are redundant. A scatterer has D coordinates and a complex
    reflectivity, a node one phase. Two phases are unobservable: a common one of all nodes, and one between all Tx and
    all reflectivities.
    """
    phases = 0 if phases_known else 2 * n_nodes - 2
    return (2 * n_nodes**2 - phases) / (dimension + 2)


def measure(size: Size, seed: int, _: Estimator, on_progress: OnProgress | None = None) -> list[Row]:
    """Success of the greedy estimator: rows labelled by `phases`, `n_nodes` (per side) and `n_scatterers`.

    Args:
        size: `values` are numbers of nodes per side, `levels` numbers of scatterers.
        seed: of the scenes.
        on_progress: called with the numbers of scenes done and to do.
    """
    cells = [(name, nodes, count) for name in CASES for nodes in size.values for count in size.levels]
    rows: list[Row] = []
    for number, (name, nodes, count) in enumerate(cells):
        case = CASES[name]
        sparsity = count / math.prod(REGION.pixels)
        scenario = replace(case.scenario, n_tx=int(nodes), n_rx=int(nodes), sparsity=sparsity)
        scenes = evaluation_scenes(scenario, size.n_scenes, BATCH, seed)
        (summary,) = summarise(compare({"greedy": case.estimator}, scenes, name, SCORING))
        success = summary.statistics["success"]
        labels: Row = {"phases": name, "n_nodes": nodes, "n_scatterers": count, "metric": "success"}
        rows.append({**labels, "mean": success.mean, "low": success.low, "high": success.high, "n": success.n})
        if on_progress is not None:
            on_progress((number + 1) * size.n_scenes, len(cells) * size.n_scenes)
    return rows


def draw(rows: Sequence[Row]) -> Figure:
    """A map per case; above the line there are more unknowns than equations."""
    figure = Figure(figsize=(16.5, 6.2), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(CASES), sharey=True, squeeze=False)[0]
    for axes, (name, case) in zip(panels, CASES.items(), strict=True):
        _draw_map(axes, [row for row in rows if row["phases"] == name], case)
    panels[0].set_ylabel("number of scatterers", fontsize=MIDDLE)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 100), COLOUR_MAP), ax=list(panels), pad=0.01, aspect=30)
    bar.set_label("success [%]", fontsize=MIDDLE)
    bar.ax.tick_params(labelsize=SMALL)
    figure.legend(handles=panels[0].lines, loc="outside lower center", fontsize=MIDDLE, frameon=False)
    figure.suptitle("Success: every scatterer found, none false", fontsize=LARGE)
    return figure


def _draw_map(axes: Axes, rows: Sequence[Row], case: Case) -> None:
    nodes, counts = (sorted({float(row[key]) for row in rows}) for key in ("n_nodes", "n_scatterers"))
    image = np.full((len(counts), len(nodes)), np.nan)
    for row in rows:
        image[counts.index(float(row["n_scatterers"])), nodes.index(float(row["n_nodes"]))] = 100 * float(row["mean"])
    axes.imshow(image, origin="lower", aspect="auto", cmap=COLOUR_MAP, vmin=0, vmax=100, interpolation="nearest")
    for (level, place), value in np.ndenumerate(image):
        colour = "black" if value > 50 else "white"
        axes.text(place, level, f"{value:.0f}", ha="center", va="center", fontsize=SMALL, color=colour)
    # All cells have one size; between their centres, numbers of scatterers are interpolated logarithmically.
    place = np.linspace(-0.5, len(nodes) - 0.5, 200)
    limit = np.array(
        [most_scatterers(n, REGION.dimension, case.phases_known) for n in np.interp(place, range(len(nodes)), nodes)]
    )
    step = math.log(counts[-1] / counts[-2]) if len(counts) > 1 else 1.0
    beyond = np.log(np.maximum(limit / counts[-1], 1.0)) / step
    level = np.interp(np.log(limit), np.log(counts), range(len(counts))) + beyond
    axes.plot(place, level, color=COLOURS[0], linewidth=3, label="unknowns = equations")
    axes.set_xticks(range(len(nodes)), [f"{n:g} + {n:g}" for n in nodes])
    axes.set_yticks(range(len(counts)), [f"{count:g}" for count in counts])
    axes.set_xlim(-0.5, len(nodes) - 0.5)
    axes.set_ylim(-0.5, len(counts) - 0.5)
    axes.set_xlabel("nodes, Tx + Rx", fontsize=MIDDLE)
    axes.set_title(case.title, fontsize=MIDDLE)
    soft_frame(axes)
