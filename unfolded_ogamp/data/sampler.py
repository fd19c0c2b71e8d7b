"""Draw scenes and their CSI, in float64 and a whole batch at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.data.coarse_scene import coarsely_synchronised
from unfolded_ogamp.data.scenario import Scenario
from unfolded_ogamp.physics import (
    Csi,
    NodeArray,
    PixelGrid,
    Scene,
    clock_phase,
    draw_nodes,
    draw_residual_phases,
    draw_time_offsets,
    draw_uniform_phases,
    is_connected,
    measure,
    noise_variance_at,
    regular_grid,
)

MAX_REDRAWS = 1000


def draw(scenario: Scenario, batch: int, generator: torch.Generator) -> tuple[Scene, Csi]:
    """Draw `batch` scenes and one noisy measurement of each, coarsely synchronised where it covers a band."""
    scene = draw_scene(scenario, batch, generator)
    csi = measure(scene, generator)
    if scenario.bandwidth is None:
        return scene, csi
    return coarsely_synchronised(scene, csi, scenario.n_subcarriers, scenario.subtract_los)


def draw_scene(scenario: Scenario, batch: int, generator: torch.Generator) -> Scene:
    """Draw `batch` scenes of a scenario, as they are before any synchronisation and on all subcarriers of the band."""
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
    """Draw the nodes; the subcarriers are the carrier and its neighbours above, or a band around it."""
    inner, outer = (scenario.side * radius for radius in scenario.node_radius)
    nodes = draw_nodes(scenario.n_tx + scenario.n_rx, scenario.dimension, inner, outer, batch, generator)
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
    """Draw scatterers in pixels of their own: [B, S, D], [m]."""
    batch, n_pixels, dimension = grid.centre.shape
    score = torch.rand(batch, n_pixels, dtype=torch.float64, generator=generator)
    active = score.topk(scenario.n_scatterers, dim=-1).indices
    centre = grid.centre.gather(1, active[..., None].expand(-1, -1, dimension))
    if not scenario.off_grid:
        return centre
    offset = torch.rand(centre.shape, dtype=torch.float64, generator=generator) - 0.5
    return centre + offset * grid.pixel[:, None, None]


def draw_strengths(scenario: Scenario, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw complex factors of `shape`, weaker than one by a uniform number of decibels, with a uniform phase."""
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
    """Draw phases that are the same on all subcarriers: [B, n_tx + n_rx], [rad]."""
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
    raise RuntimeError(f"no connected network in {MAX_REDRAWS} draws with missing_links = {scenario.missing_links}")


def draw_los(scenario: Scenario, link: Tensor, generator: torch.Generator) -> Tensor:
    """Draw which of the links [B, n_tx, n_rx] have a line of sight: bool, of the same shape."""
    if not scenario.los:
        return torch.zeros_like(link)
    if scenario.blocked_los == 0:
        return link
    n_links = scenario.n_tx * scenario.n_rx
    blocked = _draw_subset(n_links, round(scenario.blocked_los * n_links), len(link), generator)
    return link & ~blocked.reshape(link.shape)


def _draw_subset(n_items: int, size: int, batch: int, generator: torch.Generator) -> Tensor:
    """Draw `size` of `n_items` without replacement: membership, bool [batch, n_items]."""
    score = torch.rand(batch, n_items, dtype=torch.float64, generator=generator)
    return torch.zeros(batch, n_items, dtype=torch.bool).scatter(1, score.topk(size, dim=-1).indices, True)
