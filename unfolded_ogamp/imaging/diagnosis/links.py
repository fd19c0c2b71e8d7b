"""Links whose phases are not those of their nodes, found with lines of sight.

Lines of sight give the node phases; a few echoes, added one by one where they explain most, lower the residual of the
links (orthogonal matching pursuit, Pati et al., 1993). Links with a residual far above the others get the small weights
of a Cauchy distribution. A link is an outlier if its amplitude fits in the end, and its phase does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.diagnosis.finding import Finding, Severity, link_names, listed
from unfolded_ogamp.imaging.diagnosis.line_of_sight import fit_node_phases
from unfolded_ogamp.imaging.diagnosis.outliers import without_links
from unfolded_ogamp.inference.node_phases import fit_phases
from unfolded_ogamp.physics import (
    Csi,
    NodeArray,
    PixelGrid,
    distances,
    gain_constant,
    main_part,
    node_wave,
    phasor,
)

MOST_ECHOES = 12
MOST_POINTS = 20_000
SPACING, FINE = 0.25, 0.0625  # of the points of the search, in wavelengths
TUNING = 3.0  # deviation whose weight is a half, over the standard deviation
RIDGE = 1e-6
LEAST_FALL = 0.97  # of the standard deviation, for another echo
FAR, NEAR = 6.0, 2.5  # deviation of an outlier from the model, and of its amplitude, over the standard deviation
LEAST_ANGLE = 0.8  # [rad]
LEAST_LINKS = 3.0  # per node
LEAST_COUNT, LEAST_OUTLIERS, MOST_OUTLIERS = 3, 0.02, 0.35  # number of outliers, and their share of the links


@dataclass(frozen=True)
class EchoFit:
    """Lines of sight, echoes and node phases fitted to one subcarrier.

    Attributes:
        value: CSI without node phases [n_tx, n_rx].
        model: lines of sight and echoes [n_tx, n_rx].
        deviation: standard deviation of the links from the model.
    """

    value: Tensor
    model: Tensor
    deviation: float


def turned_links(csi: Csi, array: NodeArray, grid: PixelGrid) -> tuple[list[Finding], Csi]:
    """The finding that the phases of some links do not fit, and the CSI without them; a batch of one."""
    los = csi.los_trusted[0] & csi.los[0] & csi.link[0]
    tx, rx = main_part(los).split(list(los.shape))
    link = csi.link[0] & tx[:, None] & rx  # links of nodes whose phases the lines of sight give
    points = search_points(grid, SPACING * float(array.wavelength))
    if float(los.sum()) < LEAST_LINKS * sum(los.shape) or points is None:
        return [], csi
    angle = fit_node_phases(csi.value[0], csi.los_channel[0], los).ratio.angle().abs()
    if float((angle > LEAST_ANGLE)[los].sum()) < LEAST_OUTLIERS * float(los.sum()):
        return [], csi
    fit = fit_echoes(csi, array, link, los, points)
    left = (fit.value - fit.model).abs()
    amplitude = (fit.value.abs() - fit.model.abs()).abs()
    angle = (fit.value * fit.model.conj()).angle().abs()
    outlier = link & (left > FAR * fit.deviation) & (amplitude < NEAR * fit.deviation) & (angle > LEAST_ANGLE)
    count, share = int(outlier.sum()), float(outlier.sum() / link.sum())
    if count < LEAST_COUNT or not LEAST_OUTLIERS < share < MOST_OUTLIERS:
        return [], csi
    turns = listed([f"{degrees:.0f}" for degrees in (180 / math.pi * angle[outlier]).tolist()])
    evidence = (
        f"the phases of {count} of {int(csi.link.sum())} links are not those of their nodes: "
        f"{listed(link_names(outlier))} are off by {turns} degrees, while their amplitudes fit"
    )
    return [Finding("links that do not fit", evidence, "Left out: these links", Severity.DOUBT)], without_links(
        csi, outlier
    )


def fit_echoes(csi: Csi, array: NodeArray, link: Tensor, los: Tensor, points: Tensor) -> EchoFit:
    """Fit lines of sight, a few echoes and node phases to the middle subcarrier, with robust weights.

    Args:
        csi, array: a batch of one.
        link: links to fit, bool [n_tx, n_rx].
        los: those with a trusted line of sight, bool [n_tx, n_rx].
        points: where echoes are searched [N, D], [m].
    """
    middle = csi.value.shape[-1] // 2
    array = replace(array, frequency=array.frequency[:, middle : middle + 1])
    raw = csi.value[0, ..., middle]
    direct = torch.where(csi.los[0], csi.los_channel[0, ..., middle], 0)
    start = fit_node_phases(csi.value[0], csi.los_channel[0], los)
    turn = phasor(start.tx[:, None] - start.rx)
    turn = turn * torch.sgn((raw * turn * direct.conj())[los].sum()).conj()
    weight, model = link.to(raw.real.dtype), direct
    coarse, wavelength = _waves(array, points), float(array.wavelength)
    chosen, best = points[:0], EchoFit(raw * turn, direct, math.inf)
    for _ in range(MOST_ECHOES):
        residual = (raw * turn - model) * weight
        place = _refined(_strongest(residual, weight, points, coarse), residual, weight, array, FINE * wavelength)
        chosen = torch.cat([chosen, place[None]])
        for step in (FINE, FINE, FINE / 4):
            tx, rx = _waves(array, chosen)
            columns = (tx[:, None] * rx)[link]
            weighted = columns.mH * weight[link]
            normal = weighted @ columns
            normal = normal + RIDGE * normal.diagonal().real.mean() * torch.eye(len(chosen)).to(normal)
            strength = torch.linalg.solve(normal, weighted @ (raw * turn - direct)[link])
            model = direct + (tx * strength) @ rx.T
            turn = _aligned(raw, model, weight, link)
            left = (raw * turn - model).abs()
            deviation = math.sqrt(float(left[link].square().median()) / math.log(2))
            weight = link / (1 + (left / max(TUNING * deviation, 1e-300)).square())
            if step == FINE:
                residual = raw * turn - model
                for index in range(len(chosen)):  # one echo after the other, the others fixed
                    own = residual + strength[index] * tx[:, index, None] * rx[:, index]
                    chosen[index] = _refined(chosen[index], own * weight, weight, array, step * wavelength / 4)
        if deviation > LEAST_FALL * best.deviation:
            break
        best = EchoFit(raw * turn, model, deviation)
    return best


def _aligned(raw: Tensor, model: Tensor, weight: Tensor, link: Tensor) -> Tensor:
    """Phasors of the links [n_tx, n_rx] from node phases that align the CSI with a model."""
    aligned = torch.sgn(raw * model.conj()) * (raw.abs() * model.abs()).sqrt() * weight
    tx, rx = fit_phases(aligned[None], link[None])[0].split(list(link.shape))
    turn = phasor(tx[:, None] - rx)
    return turn * torch.sgn((raw * turn * model.conj() * weight).sum()).conj()


def _refined(place: Tensor, residual: Tensor, weight: Tensor, array: NodeArray, step: float) -> Tensor:
    """The point [D] near `place`, on a fine grid of this step [m], whose echo explains most of a residual."""
    axis = step * torch.arange(-2, 3, dtype=place.dtype, device=place.device)
    fine = place + torch.cartesian_prod(*[axis] * len(place))
    return _strongest(residual, weight, fine, _waves(array, fine))


def search_points(grid: PixelGrid, spacing: float) -> Tensor | None:
    """Points [N, D] at most `spacing` [m] apart that cover the region; None if they are too many."""
    half = float(grid.pixel[0]) / 2
    lower, upper = grid.centre[0].amin(0) - half, grid.centre[0].amax(0) + half
    counts = [max(1, math.ceil(float(side) / spacing)) for side in upper - lower]
    if math.prod(counts) > MOST_POINTS:
        return None
    axes = [
        low + (torch.arange(count, dtype=low.dtype, device=low.device) + 0.5) * (high - low) / count
        for low, high, count in zip(lower, upper, counts, strict=True)
    ]
    return torch.cartesian_prod(*axes)


def _waves(array: NodeArray, points: Tensor) -> tuple[Tensor, Tensor]:
    """Waves of Tx [n_tx, N] and Rx [n_rx, N] at points [N, D]; their product is the channel of an echo."""
    tx, rx = (node_wave(array, distances(nodes, points[None]), gain)[0, 0] for nodes, gain in array.sides)
    return tx * float(gain_constant(array)), rx


def _strongest(residual: Tensor, weight: Tensor, points: Tensor, waves: tuple[Tensor, Tensor]) -> Tensor:
    """The point [D] whose echo explains most of a weighted residual [n_tx, n_rx]."""
    tx, rx = waves
    image = ((tx.mH @ residual) * rx.mH).sum(1)
    energy = ((tx.abs().square().T @ weight) * rx.abs().square().T).sum(1)
    return points[int((image.abs().square() / energy).argmax())]
