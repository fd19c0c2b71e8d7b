"""Scenes and estimates made by hand: the truth, or the truth moved by a known amount; and a bound by plain algebra."""

import math
from dataclasses import asdict, replace

import torch

from unfolded_ogamp.imaging.confidence import Confidence
from unfolded_ogamp.imaging.estimate import Estimate, History, NodeEstimate, Scatterers
from unfolded_ogamp.physics import (
    NodeArray,
    Scene,
    draw_nodes,
    incidence_matrix,
    noise_free_csi,
    noise_variance_at,
    regular_grid,
)

# Part of the metrics of a scene: two confident scatterers, both true.
CONFIDENCE = asdict(
    Confidence(
        converged=True,
        diagnosed=False,
        confident=2,
        confident_false=0,
        silently_wrong=False,
        silently_wrong_in_reach=False,
        genie=1.0,
        determination=3.0,
        phase_spread=0.5,
    )
)


def make_scene(
    seed: int = 0,
    batch: int = 1,
    dimension: int = 2,
    n_tx: int = 6,
    n_rx: int = 5,
    n_scatterers: int = 3,
    pixels: int = 10,
    snr_db: float = 25.0,
    missing: float = 0.0,
    los: bool = False,
) -> Scene:
    generator = torch.Generator().manual_seed(seed)
    grid = regular_grid([pixels] * dimension, 0.2, [0.0] * dimension, torch.float64)
    grid = grid.map(lambda tensor: tensor.expand(batch, *tensor.shape[1:]))
    side = 0.2 * pixels
    nodes = draw_nodes(n_tx + n_rx, dimension, side, 1.5 * side, batch, generator)
    carrier = torch.full((batch,), 1e9, dtype=torch.float64)
    frequency = carrier[:, None] + torch.tensor([0.0, 120e3], dtype=torch.float64)
    array = NodeArray(nodes[:, :n_tx], nodes[:, n_tx:], frequency, carrier)
    order = torch.rand(batch, grid.centre.shape[1], generator=generator, dtype=torch.float64).argsort(1)
    index = order[:, :n_scatterers, None].expand(-1, -1, dimension)
    offset = torch.rand(batch, n_scatterers, dimension, generator=generator, dtype=torch.float64) - 0.5
    position = grid.centre.gather(1, index) + 0.2 * offset
    magnitude = 0.6 + 0.4 * torch.rand(batch, n_scatterers, generator=generator, dtype=torch.float64)
    angle = torch.randn(batch, n_scatterers, generator=generator, dtype=torch.float64)
    reflectivity = torch.polar(magnitude, angle)
    phase = torch.randn(batch, n_tx + n_rx, 1, generator=generator, dtype=torch.float64) * 0.2 * math.pi / math.sqrt(2)
    phase = phase.expand(-1, -1, 2)
    link = torch.rand(batch, n_tx, n_rx, generator=generator, dtype=torch.float64) >= missing
    noise = noise_variance_at(array, position, reflectivity, link, torch.full((batch,), snr_db, dtype=torch.float64))
    visible = link & los
    return Scene(array, grid, position, reflectivity, phase[:, :n_tx], phase[:, n_tx:], link, visible, noise)


def star_scene() -> Scene:
    """One Tx between four Rx at equal distances, without scatterers."""
    scene = make_scene(seed=8, n_tx=1, n_rx=4, los=True)
    angle = torch.arange(4, dtype=torch.float64) * math.pi / 2
    rx = 3 * torch.stack([angle.cos(), angle.sin()], -1)[None]
    array = replace(scene.array, tx=torch.zeros(1, 1, 2, dtype=torch.float64), rx=rx)
    return replace(scene, array=array, position=scene.position[:, :0], reflectivity=scene.reflectivity[:, :0])


def link_phase_rms(covariance: torch.Tensor, link: torch.Tensor, reference: int) -> float:
    """The gauge projection of the metric, as a sum over links; covariance of all node phases but the reference's."""
    incidence = incidence_matrix(link, reference)
    links = len(incidence)
    incidence = incidence - incidence.mean(0)
    return math.sqrt(float((incidence @ covariance @ incidence.T).trace()) / links)


def truth_as_estimate(scene: Scene) -> Estimate:
    batch, n_scatterers, dimension = scene.position.shape
    scatterers = [
        Scatterers.points(
            position=scene.position[b],
            covariance=1e-6 * torch.eye(dimension, dtype=torch.float64).expand(n_scatterers, -1, -1),
            reflectivity=scene.reflectivity[b],
            probability=torch.ones(n_scatterers, dtype=torch.float64),
        )
        for b in range(batch)
    ]
    anywhere = torch.full((batch, 1, dimension), 1e3, dtype=torch.float64)
    distance = (scene.grid.centre[:, :, None] - torch.cat([scene.position, anywhere], 1)[:, None]).norm(dim=-1)
    one = torch.ones(batch, 4, dtype=torch.float64)
    return Estimate(
        scatterers=scatterers,
        outside=[one[:0] for one in scatterers],
        tx_phase=scene.tx_phase,
        rx_phase=scene.rx_phase,
        tx_phase_std=torch.full_like(scene.tx_phase[..., 0], 1e-2),
        rx_phase_std=torch.full_like(scene.rx_phase[..., 0], 1e-2),
        nodes=NodeEstimate.as_listed(scene.array, scene.link.to(scene.position)),
        pixel_probability=(-(distance.amin(-1) / 0.12).square()).exp(),
        noise_variance=scene.noise_variance,
        noise_std=torch.zeros_like(scene.noise_variance),
        prediction=noise_free_csi(scene),
        residual=scene.noise_variance,
        tx_without_los=torch.zeros_like(scene.tx_phase[..., 0], dtype=torch.bool),
        rx_without_los=torch.zeros_like(scene.rx_phase[..., 0], dtype=torch.bool),
        converged=torch.ones(batch, dtype=torch.bool),
        diagnosis=[()] * batch,
        finite=torch.ones(batch, dtype=torch.bool),
        history=History(residual=one * scene.noise_variance[:, None], change=one, active=one),
    )


def with_positions(estimate: Estimate, positions: list[torch.Tensor]) -> Estimate:
    """The same estimate with other scatterers: one tensor [E, D] per scene."""
    scatterers = [
        Scatterers.points(
            position=position,
            covariance=1e-6 * torch.eye(position.shape[1]).to(position).expand(len(position), -1, -1),
            reflectivity=torch.ones(len(position), dtype=torch.complex128),
            probability=torch.ones(len(position), dtype=torch.float64),
        )
        for position in positions
    ]
    return Estimate(**{**estimate.__dict__, "scatterers": scatterers})
