"""Link phase error after coarse synchronisation, over bandwidth, noise and blocked lines of sight.

Section VI of the paper assumes a standard deviation sigma_phi of 0.2 pi instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from unfolded_ogamp.coarse.clocks import CoarseSettings, subcarrier_spacing, synchronise
from unfolded_ogamp.coarse.delay_profile import earliest_arrival
from unfolded_ogamp.evaluation.style import COLOURS, FRAME, LARGE, MIDDLE, SMALL, TRUTH, soft_frame
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study.sweep import Size
from unfolded_ogamp.physics import Csi, Scene, isolated_nodes, link_phase, link_phase_error
from unfolded_ogamp.physics import measure as measure_csi
from unfolded_ogamp.scenes import counter_seed
from unfolded_ogamp.system import OnProgress, Row

ASSUMED = 0.2 * math.pi  # [rad]
END_TO_END = Scenario(name="end_to_end", phase_model="clocks", los=True, blocked_los=0.3, bandwidth=100e6)
LINKS, NODES, NOISE = "every link by itself (20)", "nodes fitted to all links (23)", "the same, nothing scatters"
STYLES = {LINKS: (COLOURS[0], "-"), NODES: (COLOURS[1], "-"), NOISE: (COLOURS[1], "--")}


@dataclass(frozen=True)
class Sweep:
    """Values of one field of the scenario, and the title and unit of its axis."""

    title: str
    unit: float
    values: tuple[float, ...]


SWEEPS: Mapping[str, Sweep] = {
    "bandwidth": Sweep("bandwidth [MHz]", 1e6, (20e6, 50e6, 100e6, 200e6, 400e6)),
    "snr_db": Sweep("signal-to-noise ratio [dB]", 1.0, (0.0, 10.0, 20.0, 30.0)),
    "blocked_los": Sweep("links without a line of sight [%]", 0.01, (0.0, 0.15, 0.3, 0.45, 0.6)),
}


SIZES = {"tiny": Size(1), "quick": Size(20), "full": Size(100)}


def measure(size: Size, seed: int, _: Estimator, on_progress: OnProgress | None = None) -> list[Row]:
    """A row per point and curve: sweep, value, curve, median, quantile_95, within and n.

    The residual of a scene is the root mean square of its link phases in the middle of the band, gauge removed [rad],
    over links between nodes that have a line of sight. `within` is the share of scenes below 0.2 pi.

    Args:
        size: scenes at each point; the scenes of two points differ only in the value of the field.
        seed: of the scenes, which are those of the evaluation.
        on_progress: called with the numbers of scenes done and to do.
    """
    points = [(name, value) for name, sweep in SWEEPS.items() for value in sweep.values]
    rows: list[Row] = []
    for number, (name, value) in enumerate(points):
        scenario = replace(END_TO_END, **{name: value})  # type: ignore[arg-type]
        found: dict[str, list[float]] = {curve: [] for curve in STYLES}
        for index in range(size.n_scenes):
            for curve, residual in scene_residuals(scenario, counter_seed(seed, "test", 0, index)).items():
                found[curve].append(residual)
            if on_progress is not None:
                on_progress(number * size.n_scenes + index + 1, len(points) * size.n_scenes)
        rows += [{"sweep": name, "value": value, "curve": curve, **summary(found[curve])} for curve in STYLES]
    return rows


def scene_residuals(scenario: Scenario, seed: int) -> dict[str, float]:
    """Residual link phase [rad] of one scene, by curve."""
    generator = torch.Generator().manual_seed(seed)
    scene = draw_scene(scenario, 1, generator)
    csi = measure_csi(scene, generator)
    empty = replace(scene, reflectivity=0 * scene.reflectivity)
    return {
        LINKS: link_residual(scene, csi),
        NODES: node_residual(scene, csi),
        NOISE: node_residual(empty, measure_csi(empty, generator)),
    }


def link_residual(scene: Scene, csi: Csi) -> float:
    """Error of (19)-(20) on the links with a line of sight, each fitted separately, [rad]."""
    arrival = earliest_arrival(csi.value, subcarrier_spacing(scene.array.frequency), CoarseSettings().gate)
    observed = -(arrival * csi.los_channel.conj()).angle()
    return _middle_rms(observed, scene, scene.los)


def node_residual(scene: Scene, csi: Csi) -> float:
    """Error of the fit of all nodes on the links between nodes that have a line of sight, [rad]."""
    found = synchronise(csi, scene.array, CoarseSettings()).phases_at(scene.array.frequency)
    tx, rx = (~isolated_nodes(scene.los)).split(list(scene.los.shape[1:]), dim=1)
    return _middle_rms(link_phase(*found), scene, scene.link & tx[:, :, None] & rx[:, None])


def summary(residuals: Sequence[float]) -> Row:
    """Statistics of one number per scene."""
    values = torch.tensor(residuals, dtype=torch.float64)
    return {
        "median": float(values.median()),
        "quantile_95": float(values.quantile(0.95)),
        "within": float((values <= ASSUMED).double().mean()),
        "n": len(residuals),
    }


def draw(rows: Sequence[Row]) -> Figure:
    """A panel per sweep: medians, and the range up to the 95 % quantile."""
    figure = Figure(figsize=(16.5, 6.4), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(SWEEPS), sharey=True)
    for axes, (name, sweep) in zip(panels, SWEEPS.items(), strict=True):
        _draw_sweep(axes, [row for row in rows if row["sweep"] == name], sweep)
        if name == "bandwidth":
            axes.set_xscale("log")
            axes.set_xticks(
                [value / sweep.unit for value in sweep.values], [f"{v / sweep.unit:g}" for v in sweep.values]
            )
            axes.minorticks_off()
    panels[0].set_ylabel("link phase error, rms [rad]", fontsize=MIDDLE)
    panels[0].set_yscale("log")
    handles, _ = panels[0].get_legend_handles_labels()
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=SMALL + 1, frameon=False)
    count = max(int(row["n"]) for row in rows)
    band = "lines: median, shaded: up to the 95 % quantile"
    figure.suptitle(f"Link phase error after coarse synchronisation, {count} scenes ({band})", fontsize=LARGE)
    return figure


def _draw_sweep(axes: Axes, rows: Sequence[Row], sweep: Sweep) -> None:
    for curve, (colour, line) in STYLES.items():
        chosen = sorted((row for row in rows if row["curve"] == curve), key=lambda row: float(row["value"]))
        place = [float(row["value"]) / sweep.unit for row in chosen]
        median, high = ([float(row[key]) for row in chosen] for key in ("median", "quantile_95"))
        face = colour if line == "-" else "white"
        axes.plot(place, median, line, color=colour, linewidth=2.4, marker="o", markerfacecolor=face, label=curve)
        axes.fill_between(place, median, high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(ASSUMED, color=TRUTH, linewidth=1.8, linestyle=":", label=r"assumed in Section VI: 0.2 $\pi$")
    axes.set_xlabel(sweep.title, fontsize=MIDDLE)
    axes.grid(True, color=FRAME, alpha=0.35, linewidth=0.8)
    soft_frame(axes)


def _middle_rms(estimated: Tensor, scene: Scene, link: Tensor) -> float:
    """Root mean square link phase error [rad] on the middle subcarrier over `link` [1, n_tx, n_rx], gauge removed."""
    middle = slice(estimated.shape[-1] // 2, estimated.shape[-1] // 2 + 1)
    true = link_phase(scene.tx_phase[..., middle], scene.rx_phase[..., middle])
    return float(link_phase_error(estimated[..., middle], true, link)[link].square().mean().sqrt())
