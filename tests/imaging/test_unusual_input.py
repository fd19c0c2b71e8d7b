"""Input at the edge of what the signal model allows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import scene_metrics
from unfolded_ogamp.physics import PixelGrid, measure

SMALL = Scenario(name="small", n_tx=14, n_rx=14, pixels=(8, 8), sparsity=0.03)
OG_AMP = AlternatingEstimator(PRESETS["og_amp"]())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_scale_of_the_csi_does_not_matter(scale: float, dtype: torch.dtype) -> None:
    scene, csi = draw(replace(SMALL, los=True), 2, torch.Generator().manual_seed(0))
    louder = replace(
        csi,
        value=csi.value * scale,
        los_channel=csi.los_channel * scale,
        noise_variance=csi.noise_variance * scale**2,
    )
    scene, csi, louder = scene.to(dtype), csi.to(dtype), louder.to(dtype)
    one, other = OG_AMP(csi, scene.array, scene.grid), OG_AMP(louder, scene.array, scene.grid)
    for quiet, loud in zip(one.scatterers, other.scatterers, strict=True):
        assert len(quiet.position) == 2
        torch.testing.assert_close(loud.position, quiet.position, rtol=0, atol=1e-3)
        torch.testing.assert_close(loud.reflectivity, quiet.reflectivity * scale, rtol=1e-2, atol=0)


def test_noise_variance_need_not_be_known() -> None:
    scene, csi = draw(SMALL, 4, torch.Generator().manual_seed(1))
    estimate = OG_AMP(replace(csi, noise_variance=None), scene.array, scene.grid)
    found = [scene_metrics(scene, estimate, i, joint_bound(scene, i)).success for i in range(4)]
    assert sum(found) >= 3
    torch.testing.assert_close(estimate.noise_variance, estimate.residual)


def test_nodes_and_pixels_in_one_plane_of_space() -> None:
    """The derivative across the plane vanishes: that coordinate is unknown, and the others are still estimated."""
    flat, csi = draw(replace(SMALL, phase_std=0.2), 2, torch.Generator().manual_seed(2))
    zero = torch.zeros_like(flat.array.tx[..., :1])
    array = replace(flat.array, tx=torch.cat([flat.array.tx, zero], -1), rx=torch.cat([flat.array.rx, zero], -1))
    centre = torch.cat([flat.grid.centre, torch.zeros_like(flat.grid.centre[..., :1])], -1)
    estimate = OG_AMP(csi, array, PixelGrid(centre, flat.grid.pixel))
    assert estimate.finite.all()
    for true, found in zip(flat.position, estimate.scatterers, strict=True):
        assert torch.cdist(true, found.position[:, :2]).amin(1).max() < 0.03


def test_negated_csi_gives_the_same_scatterers() -> None:
    """Minus one is a phase of pi between all Tx and all Rx, which reflectivity absorbs; no node may wrap over it."""
    scene, csi = draw(SMALL, 3, torch.Generator().manual_seed(3))
    one = OG_AMP(csi, scene.array, scene.grid)
    other = OG_AMP(replace(csi, value=-csi.value), scene.array, scene.grid)
    for true, plus, minus in zip(scene.position, one.scatterers, other.scatterers, strict=True):
        assert plus.position.shape == true.shape
        torch.testing.assert_close(minus.position, plus.position, rtol=0, atol=1e-3)


def test_conjugated_csi_of_far_nodes_is_that_of_the_mirrored_scene() -> None:
    """A node in direction u and at distance r sees a scatterer at p after r - p u: conjugation turns p to -p.

    It turns r to -r, too, which is a phase of the node; here it is taken out, and with it that of the node itself.
    """
    far = replace(SMALL, node_radius=(40.0, 60.0), phase_std=0.0)
    scene, csi = draw(far, 3, torch.Generator().manual_seed(3))
    tx, rx = (nodes.norm(dim=-1) for nodes in (scene.array.tx, scene.array.rx))
    turn = 2 * scene.array.wavenumber[:, None, None] * (tx[:, :, None] + rx[:, None])[..., None]
    mirrored = replace(csi, value=csi.value.conj() * torch.polar(torch.ones_like(turn), -turn))
    estimate = OG_AMP(mirrored, scene.array, scene.grid)
    for true, found in zip(scene.position, estimate.scatterers, strict=True):
        assert found.position.shape == true.shape
        assert torch.cdist(-true, found.position).amin(1).max() < 0.01


def test_one_pixel_one_frequency_and_a_node_inside_the_region() -> None:
    scenario = Scenario(n_tx=8, n_rx=8, pixels=(1, 1), pixel=0.1, n_subcarriers=1, sparsity=0.9)
    scene, csi = draw(scenario, 1, torch.Generator().manual_seed(4))
    assert OG_AMP(csi, scene.array, scene.grid).finite.all()
    scene, _ = draw(SMALL, 1, torch.Generator().manual_seed(5))
    tx = scene.array.tx.clone()
    tx[0, 0] = scene.grid.centre[0, 20] + 0.02
    scene = replace(scene, array=replace(scene.array, tx=tx))
    csi = measure(scene, torch.Generator().manual_seed(6))
    estimate = OG_AMP(csi, scene.array, scene.grid)
    assert estimate.finite.all()
    assert scene_metrics(scene, estimate, 0, joint_bound(scene, 0)).missed == 0
