"""Draw batches of scenes and their CSI, in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unfolded_ogamp.coarse.clocks import CoarseSettings, synchronise
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.physics import (
    Csi,
    NodeArray,
    PixelGrid,
    Scene,
    clock_phase,
    draw_nodes,
    draw_nodes_in_room,
    draw_residual_phases,
    draw_time_offsets,
    draw_uniform_phases,
    is_connected,
    link_phasor,
    measure,
    noise_variance_at,
    phasor,
    regular_grid,
    wrap,
)

if TYPE_CHECKING:
    from unfolded_ogamp.imaging.scenes.scenario import Scenario

MAX_REDRAWS = 1000


def draw(scenario: Scenario, batch: int, generator: torch.Generator) -> tuple[Scene, Csi]:
    """Draw `batch` scenes with one noisy measurement each; measurements of a band are coarsely synchronised."""
    scene = draw_scene(scenario, batch, generator)
    csi = measure(scene, generator)
    if scenario.bandwidth is None:
        return scene, csi
    return coarsely_synchronised(scene, csi, scenario.n_subcarriers, scenario.subtract_los)


def draw_scene(scenario: Scenario, batch: int, generator: torch.Generator) -> Scene:
    """Draw `batch` scenes of a scenario before any synchronisation, on all subcarriers of the band."""
    array = draw_array(scenario, batch, generator)
    grid = regular_grid(scenario.pixels, scenario.pixel, [0.0] * scenario.dimension, torch.float64)
    grid = grid.map(lambda tensor: tensor.repeat(batch, *[1] * (tensor.ndim - 1)))
    position = draw_positions(scenario, grid, generator)
    deviation = torch.randn(batch, scenario.n_scatterers, dtype=torch.float64, generator=generator).abs()
    reflectivity = (1 - scenario.reflectivity_std * deviation).to(torch.complex128)
    if scenario.reflectivity_spread > 0:
        reflectivity = reflectivity * draw_strengths(scenario, reflectivity.shape, generator)
    phase = draw_node_phases(scenario, array.frequency, generator)
    link = draw_links(scenario, batch, generator)
    snr_db = torch.full((batch,), scenario.snr_db, dtype=torch.float64)
    return Scene(
        array=array,
        grid=grid,
        position=position,
        reflectivity=reflectivity,
        tx_phase=phase[:, : scenario.n_tx],
        rx_phase=phase[:, scenario.n_tx :],
        link=link,
        los=draw_los(scenario, link, generator),
        noise_variance=noise_variance_at(array, position, reflectivity, link, snr_db),
    )


def draw_array(scenario: Scenario, batch: int, generator: torch.Generator) -> NodeArray:
    """Draw the nodes; the subcarriers start at the carrier, or form a band around it."""
    n_nodes = scenario.n_tx + scenario.n_rx
    if scenario.room is None:
        inner, outer = (scenario.side * radius for radius in scenario.node_radius)
        nodes = draw_nodes(n_nodes, scenario.dimension, inner, outer, batch, generator)
    else:
        nodes = draw_nodes_in_room(n_nodes, scenario.room, scenario.region, batch, generator)
    carrier = torch.full((batch,), scenario.carrier_frequency, dtype=torch.float64)
    below = 0 if scenario.bandwidth is None else scenario.n_band // 2
    offset = scenario.subcarrier_spacing * (torch.arange(scenario.n_band, dtype=torch.float64) - below)
    return NodeArray(
        tx=nodes[:, : scenario.n_tx],
        rx=nodes[:, scenario.n_tx :],
        frequency=carrier[:, None] + offset,
        carrier_frequency=carrier,
    )


def draw_positions(scenario: Scenario, grid: PixelGrid, generator: torch.Generator) -> Tensor:
    """Draw scatterers, at most one per pixel: [B, S, D], [m]."""
    batch, n_pixels, dimension = grid.centre.shape
    score = torch.rand(batch, n_pixels, dtype=torch.float64, generator=generator)
    active = score.topk(scenario.n_scatterers, dim=-1).indices
    centre = grid.centre.gather(1, active[..., None].expand(-1, -1, dimension))
    if not scenario.off_grid:
        return centre
    offset = torch.rand(centre.shape, dtype=torch.float64, generator=generator) - 0.5
    return centre + offset * grid.pixel[:, None, None]


def draw_strengths(scenario: Scenario, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw complex factors of `shape` with a uniform attenuation in decibels and a uniform phase."""
    level, turns = torch.rand(2, *shape, dtype=torch.float64, generator=generator)
    return torch.polar(10 ** (-scenario.reflectivity_spread / 20 * level), 2 * torch.pi * turns)


def draw_node_phases(scenario: Scenario, frequency: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the phases of all nodes at `frequency` [B, K] [Hz], Tx first: [B, n_tx + n_rx, K], [rad]."""
    n_nodes, batch = scenario.n_tx + scenario.n_rx, len(frequency)
    if scenario.phase_model == "clocks":
        offset = draw_time_offsets(n_nodes, scenario.subcarrier_spacing, batch, generator)
        return clock_phase(offset, draw_uniform_phases(n_nodes, batch, generator), frequency)
    return _draw_common_phases(scenario, batch, generator)[..., None].repeat(1, 1, frequency.shape[1])


def _draw_common_phases(scenario: Scenario, batch: int, generator: torch.Generator) -> Tensor:
    """Draw phases common to all subcarriers: [B, n_tx + n_rx], [rad]."""
    n_nodes = scenario.n_tx + scenario.n_rx
    if scenario.phase_model == "uniform":
        return draw_uniform_phases(n_nodes, batch, generator)
    residual = draw_residual_phases(n_nodes, scenario.phase_std, batch, generator)
    if scenario.phase_model == "residual":
        return residual
    uniform = draw_uniform_phases(n_nodes, batch, generator)
    blocked = _draw_subset(n_nodes, round(scenario.blocked_share * n_nodes), batch, generator)
    return torch.where(blocked, uniform, residual)


def draw_links(scenario: Scenario, batch: int, generator: torch.Generator) -> Tensor:
    """Draw the measured links, a connected network in every scene: bool [B, n_tx, n_rx]."""
    n_tx, n_rx = scenario.n_tx, scenario.n_rx
    link = torch.zeros(batch, n_tx, n_rx, dtype=torch.bool)
    for _ in range(MAX_REDRAWS):
        broken = ~is_connected(link)
        if not broken.any():
            return link
        count = int(broken.sum())
        missing = _draw_subset(n_tx * n_rx, scenario.n_missing_links, count, generator)
        link[broken] = ~missing.reshape(count, n_tx, n_rx)
    raise InputError(f"no connected network in {MAX_REDRAWS} draws with missing_links = {scenario.missing_links}")


def draw_los(scenario: Scenario, link: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the links with a line of sight among `link`, bool [B, n_tx, n_rx]; same shape."""
    if not scenario.los:
        return torch.zeros_like(link)
    if scenario.blocked_los == 0:
        return link
    n_links = scenario.n_tx * scenario.n_rx
    blocked = _draw_subset(n_links, round(scenario.blocked_los * n_links), len(link), generator)
    return link & ~blocked.reshape(link.shape)


def _draw_subset(n_items: int, size: int, batch: int, generator: torch.Generator) -> Tensor:
    """Draw `size` of `n_items` without replacement; returns their membership, bool [batch, n_items]."""
    score = torch.rand(batch, n_items, dtype=torch.float64, generator=generator)
    return torch.zeros(batch, n_items, dtype=torch.bool).scatter(1, score.topk(size, dim=-1).indices, True)


def coarsely_synchronised(scene: Scene, csi: Csi, n_subcarriers: int, subtract_los: bool) -> tuple[Scene, Csi]:
    """Scene and CSI in the middle of the band after coarse synchronisation with the line of sight.

    In the middle of the band, residual delays change the phases least (22).

    Args:
        scene, csi: on K uniformly spaced subcarriers.
        n_subcarriers: number of subcarriers that are kept, from the middle one, K // 2, upwards.
        subtract_los: subtract the ideal line of sight (29). The CSI then counts as free of it, although some leaks
            because of residual phases.
    """
    first = csi.value.shape[-1] // 2
    chosen = slice(first, first + n_subcarriers)
    array = replace(scene.array, frequency=scene.array.frequency[:, chosen])
    tx_phase, rx_phase = synchronise(csi, scene.array, CoarseSettings()).phases_at(array.frequency)
    value = csi.value[..., chosen] * link_phasor(tx_phase, rx_phase)
    los, los_channel = csi.los, csi.los_channel[..., chosen]
    if subtract_los:
        value, los = value - los_channel * los[..., None], torch.zeros_like(los)
    tx_left, rx_left = without_common_phase(
        scene.tx_phase[..., chosen] - tx_phase, scene.rx_phase[..., chosen] - rx_phase, csi.los_trusted
    )
    left = replace(scene, array=array, tx_phase=tx_left, rx_phase=rx_left, los=los)
    trusted = csi.los_trusted & los
    return left, replace(csi, value=value, los=los, los_channel=los_channel, los_trusted=trusted)


def without_common_phase(tx_phase: Tensor, rx_phase: Tensor, los: Tensor) -> tuple[Tensor, Tensor]:
    """Node phases [B, n, K] [rad] in [-pi, pi) without their common phase, which no link observes.

    The common phase is the mean over nodes with a line of sight, los [B, n_tx, n_rx]; other phases are arbitrary.
    """
    phase = torch.cat([tx_phase, rx_phase], dim=1)
    with_los = torch.cat([los.any(2), los.any(1)], dim=1)[..., None]
    common = (phasor(phase) * with_los).sum(1, keepdim=True).angle()
    tx_left, rx_left = wrap(phase - common).split([tx_phase.shape[1], rx_phase.shape[1]], dim=1)
    return tx_left, rx_left
