"""Groups of points as extended targets: their channel, in two steps as in one, and groups that cancel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import pose_scene
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.clusters import EXTENT, owners
from unfolded_ogamp.imaging.model import evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.selfcalibration.merging import combined
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import measure

PARTS = 4  # points of a target


def scene_of_groups(dimension: int, size: float) -> tuple[Problem, Sources]:
    """Two groups of points of Gaussian offsets of `size` wavelengths, far from one another, seen by far nodes."""
    scenario = Scenario(
        n_tx=7, n_rx=6, pixels=(6,) * dimension, sparsity=0.02, node_radius=(80.0, 100.0), phase_std=0.0, snr_db=60.0
    )
    scene = draw_scene(scenario, 1, torch.Generator().manual_seed(3))
    _, _, problem, truth = pose_scene(scene, measure(scene, torch.Generator().manual_seed(0)))
    generator = torch.Generator().manual_seed(5)
    centre = torch.stack([truth.position[:, 0], truth.position[:, 0] + 0.8], dim=1)
    offset = [torch.randn(centre.shape, generator=generator, dtype=torch.float64) for _ in range(PARTS)]
    position = torch.cat([centre + size * float(problem.array.wavelength) * one for one in offset], dim=1)
    strength = 0.3 + torch.rand(1, 2 * PARTS, generator=generator, dtype=torch.float64)
    reflectivity = torch.complex(strength, torch.zeros_like(strength))
    return problem, Sources.points(position, reflectivity, strength > 0, (truth.tx_phase, truth.rx_phase), problem)


def grouped(sources: Sources, problem: Problem) -> Sources:
    owner = owners(sources, sources.reflectivity.abs(), EXTENT * problem.array.wavelength)
    return combined(sources, owner, problem)


def difference(sources: Sources, other: Sources, problem: Problem) -> float:
    first, second = (evaluate(one, problem).channel for one in (sources, other))
    return float((first - second).norm() / second.norm())


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize(("size", "largest"), [(0.01, 1e-4), (0.03, 1e-2)])
def test_a_group_of_points_has_the_channel_of_one_target(dimension: int, size: float, largest: float) -> None:
    problem, points = scene_of_groups(dimension, size)
    targets = grouped(points, problem)
    assert targets.used.sum() == 2
    error = difference(targets, points, problem)
    assert error < largest
    assert error < 0.2 * difference(replace(targets, moment=0 * targets.moment), points, problem)
    centroid = (points.reflectivity.real[..., None] * points.position).unflatten(1, (PARTS, 2)).sum(1)
    centroid = centroid / points.reflectivity.real.unflatten(1, (PARTS, 2)).sum(1)[..., None]
    distance = torch.cdist(targets.position, centroid).amin(2)
    assert float(distance.max()) < 1e-3 * float(problem.array.wavelength)


def test_targets_of_targets_are_those_of_all_points() -> None:
    problem, points = scene_of_groups(2, 0.02)
    half = torch.tensor([[0, 1, 0, 1, 4, 5, 4, 5]])
    torch.testing.assert_close(
        difference(grouped(combined(points, half, problem), problem), grouped(points, problem), problem),
        0.0,
        atol=2e-3,
        rtol=0,
    )


def test_a_lone_source_stays() -> None:
    problem, points = scene_of_groups(2, 0.02)
    alone: Tensor = torch.arange(2 * PARTS)[None]
    found = combined(points, alone, problem)
    torch.testing.assert_close(found.position, points.position)
    torch.testing.assert_close(found.reflectivity, points.reflectivity)
    assert not found.moment.any()


def test_a_group_that_cancels_keeps_its_strongest_point() -> None:
    problem, points = scene_of_groups(2, 0.02)
    sign = torch.tensor([1.0, 1.0, -1.0, 1.0, 1.0, 1.0, -1.0, 1.0])
    reflectivity = torch.complex(sign.double(), torch.zeros(8).double())[None]
    owner = torch.tensor([[0, 1, 0, 1, 0, 1, 0, 1]])
    found = combined(replace(points, reflectivity=reflectivity), owner, problem)
    torch.testing.assert_close(found.position[:, 0], points.position[:, 0])
    assert float(found.reflectivity[0, 0].real) == 1.0
    assert not found.moment[0, 0].any()
    assert float(found.reflectivity[0, 1].real) == pytest.approx(4.0)
