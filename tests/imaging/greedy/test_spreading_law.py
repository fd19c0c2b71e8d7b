"""Estimators and bounds use the spreading law and the antenna gains of the array."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.evaluation.point_sets import match, pairwise_distance
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.greedy.persistence import Budget
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi, Scene, measure, noise_variance_at

SCENARIO = Scenario(n_tx=12, n_rx=12, pixels=(8, 8), sparsity=0.05)


def flat_scene(seed: int) -> tuple[Scene, Csi]:
    """A scene of cylindrical waves whose antennas differ by a factor of four in gain."""
    generator = torch.Generator().manual_seed(seed)
    scene = draw(SCENARIO, 1, generator)[0].to(torch.float64)
    gain = torch.linspace(0.5, 2.0, 12, dtype=torch.float64)[None]
    half = torch.tensor([0.5], dtype=torch.float64)
    array = replace(scene.array, loss_exponent=half, tx_gain=gain, rx_gain=gain.flip(1))
    decibel = torch.tensor([25.0], dtype=torch.float64)
    noise = noise_variance_at(array, scene.position, scene.reflectivity, scene.link, decibel)
    scene = replace(scene, array=array, noise_variance=noise)
    return scene, measure(scene, generator)


@pytest.mark.parametrize(
    "estimator",
    [GreedyEstimator(budget=Budget(seconds=math.inf, starts=6)), AlternatingEstimator(PRESETS["og_amp"]())],
    ids=["greedy", "og_amp"],
)
def test_only_the_true_spreading_law_fits_the_csi(estimator):
    scene, csi = flat_scene(0)
    right = estimator(csi, scene.array, scene.grid)
    assert 0.5 < float(right.residual / scene.noise_variance) < 1.5
    spherical = replace(scene.array, loss_exponent=None, tx_gain=None, rx_gain=None)
    wrong = estimator(csi, spherical, scene.grid)
    if isinstance(estimator, GreedyEstimator):  # gains of the nodes may take up the difference, and it says so
        assert not wrong.converged[0] or "gains of nodes differ" in "; ".join(wrong.diagnosis[0])
    else:
        assert float(wrong.residual / scene.noise_variance) > 5


def test_greedy_is_on_the_bound_of_the_law():
    squares = []
    for seed in range(20):
        scene, csi = flat_scene(seed)
        found = GreedyEstimator()(csi, scene.array, scene.grid).scatterers[0].position
        distance = pairwise_distance(scene.position[0], found, 9.0)
        true, estimated = match(distance, gate=0.03)
        assert len(true) == len(found) == scene.position.shape[1]
        squares.append(distance[true, estimated].square().mean() / joint_bound(scene, 0).position_rms ** 2)
    assert float(torch.stack(squares).mean()) == pytest.approx(1.0, abs=0.35)
