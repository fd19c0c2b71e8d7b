"""The errata of the paper: the value of each formula as printed, and as it is read here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from unfolded_ogamp.evaluation.point_sets import chamfer_distance, pairwise_distance
from unfolded_ogamp.evaluation.tables import markdown
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study.sweep import Size
from unfolded_ogamp.physics import (
    Scene,
    link_phase,
    los_channel,
    nlos_channel,
    path_loss,
    phasor,
    propagation_gain,
    unit_vectors,
    wrap,
)
from unfolded_ogamp.system import OnProgress, Row

SIZES = {"tiny": Size(4), "quick": Size(50), "full": Size(200)}
STEP = 1e-6  # of the finite differences, [m]

Evidence = tuple[float, float]  # as printed, as read


def measure(size: Size, seed: int, _: Estimator, on_progress: OnProgress | None = None) -> list[Row]:
    """A row per erratum, on `size.n_scenes` scenes of the paper's setting: quantity, as_printed and as_read."""
    scenario = Scenario()
    scene = draw_scene(scenario, size.n_scenes, torch.Generator().manual_seed(seed))
    quantities: list[tuple[float, str, Callable[[], Evidence]]] = [
        (1, "error of the derivative (13) against finite differences, relative", lambda: gradient(scene)),
        (2, "link phase error after one full correction (25), true image [rad]", lambda: correction(scene)),
        (3, "modulus of the phase factors (28) after ten alternations", lambda: modulus(scenario)),
        (4, "RMSE of the offsets before any synchronisation [pi rad]", lambda: phase_rmse(scene)),
        (5, "CD (64) of the right pixels' centres, squared [m^2] or not [m]", lambda: centre_distance(scene)),
        (6, "line of sight left in (29), amplitude over that of one path", lambda: leakage(scene)),
        (7, "delay error (22) behind a first subcarrier 0.2 pi off [ns]", lambda: delay_error(scenario)),
        (8, "stop rule when every reflectivity changes by 0.001", lambda: stop_rule(scenario)),
        (9, "reflectivity 0.5 from the prior mean, in standard deviations", prior_distance),
    ]
    rows: list[Row] = []
    for number, quantity, evidence in quantities:
        as_printed, as_read = evidence()
        rows.append({"erratum": number, "quantity": quantity, "as_printed": as_printed, "as_read": as_read})
        if on_progress is not None:
            on_progress(len(rows), len(quantities))
    return rows


def table(rows: Sequence[Row]) -> str:
    """A line per erratum."""
    lines = [
        [f"{row['erratum']:g}", str(row["quantity"]), *(_number(row[key]) for key in ("as_printed", "as_read"))]
        for row in rows
    ]
    return markdown(["", "quantity", "as printed", "as read here"], lines)


def gradient(scene: Scene) -> Evidence:
    """Relative error of the derivative along x, without and with the parentheses of (12), amplitudes held."""
    position, array = scene.position, scene.array
    step = torch.tensor([STEP, 0.0], dtype=position.dtype)
    loss = path_loss(array, position)[..., None, :]

    def gain(moved: Tensor) -> Tensor:
        return propagation_gain(array, moved) * path_loss(array, moved)[..., None, :] / loss

    exact = (gain(position + step) - gain(position - step)) / (2 * STEP)
    tx, rx = (unit_vectors(nodes, position)[:, 0] for nodes in (array.tx, array.rx))
    tx, rx = tx[:, :, None, None, :], rx[:, None, :, None, :]
    factor = -1j * array.wavenumber[:, None, None, :, None] * gain(position)
    return _relative(factor * tx + rx, exact), _relative(factor * (tx + rx), exact)


def correction(scene: Scene) -> Evidence:
    """Root mean square link phase error left if the angle of y h^* is taken for Phi, or for minus Phi."""
    channel = nlos_channel(scene.array, scene.position, scene.reflectivity)
    phase = link_phase(scene.tx_phase, scene.rx_phase)
    angle = (channel * phasor(-phase) * channel.conj()).angle()
    return _rms(wrap(angle - phase)), _rms(wrap(-angle - phase))


def modulus(scenario: Scenario) -> Evidence:
    """Modulus of an entry of Phi if k_phi scales the matrix, or the phase; ten alternations as in the paper."""
    settings = PRESETS["og_amp_paper"]()
    share, blocks = settings.synchronisation.phase_step, settings.blocks
    turn = torch.polar(torch.tensor(1.0), torch.tensor(scenario.phase_std))
    return float((share * turn).abs() ** blocks), float(torch.polar(turn.abs(), share * turn.angle()).abs() ** blocks)


def phase_rmse(scene: Scene) -> Evidence:
    """The printed ||.||_F / (M K), and the root mean square, of the offsets in units of pi: mean over the scenes."""
    offset = link_phase(scene.tx_phase, scene.rx_phase).flatten(1) / math.pi
    norm, count = offset.norm(dim=1), offset.shape[1]
    return float((norm / count).mean()), float((norm / math.sqrt(count)).mean())


def centre_distance(scene: Scene) -> Evidence:
    """Chamfer distance from the scatterers to the centres of their pixels, squared and not: mean over the scenes."""
    squared, plain = [], []
    for position, grid in zip(scene.position, scene.grid.centre, strict=True):
        nearest = grid[torch.cdist(position, grid).argmin(1)]
        distance = pairwise_distance(position, nearest, math.inf)
        squared.append(chamfer_distance(distance.square(), math.inf))
        plain.append(chamfer_distance(distance, math.inf))
    return math.fsum(squared) / len(squared), math.fsum(plain) / len(plain)


def leakage(scene: Scene) -> Evidence:
    """Zero, as in (29), and the root mean square of (dPhi - I) h_LOS over that of one path of unit strength."""
    phase = link_phase(scene.tx_phase, scene.rx_phase)
    left = (phasor(-phase) - 1) * los_channel(scene.array)
    return 0.0, _rms(left.abs()) / _rms(propagation_gain(scene.array, scene.position).abs())


def delay_error(scenario: Scenario) -> Evidence:
    """Delay error [ns] that turns the first subcarrier, or the carrier, by sigma_phi."""
    turns = scenario.phase_std / (2 * math.pi)
    return 1e9 * turns / scenario.subcarrier_spacing, 1e9 * turns / scenario.carrier_frequency


def stop_rule(scenario: Scenario) -> Evidence:
    """Norm of the change over the number of links, and its mean absolute value."""
    change = torch.full((math.prod(scenario.pixels),), 1e-3, dtype=torch.float64)
    return float(change.norm()) / (scenario.n_tx * scenario.n_rx), float(change.abs().mean())


def prior_distance() -> Evidence:
    """Standard deviations of the paper's prior, and of the tuned one, between a reflectivity of 0.5 and the mean."""
    paper, tuned = (PRESETS[name]().imaging for name in ("og_amp_paper", "og_amp"))
    first, second = (abs(0.5 - prior.reflectivity_mean) / prior.reflectivity_std for prior in (paper, tuned))
    return first, second


def _relative(value: Tensor, exact: Tensor) -> float:
    return float((value - exact).norm() / exact.norm())


def _rms(value: Tensor) -> float:
    return float(value.square().mean().sqrt())


def _number(value: float | str) -> str:
    """Three digits, and no rounding errors, which differ from machine to machine."""
    return "< 1e-12" if 0 <= float(value) < 1e-12 else f"{value:.3g}"
