"""Confidence regions contain the true values with their nominal probability."""

from __future__ import annotations

import math

import pytest
import torch

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.evaluation.statistics import LEVELS, interval_level, region_level, share_inside
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import scene_metrics


@pytest.mark.parametrize("dimension", [2, 3])
def test_levels_of_gaussian_errors_are_uniform(dimension: int) -> None:
    generator = torch.Generator().manual_seed(dimension)
    n = 20000
    factor = torch.randn(dimension, dimension, generator=generator, dtype=torch.float64)
    error = torch.randn(n, dimension, generator=generator, dtype=torch.float64) @ factor.T
    level = region_level(error, (factor @ factor.T).expand(n, -1, -1))
    for nominal in LEVELS:
        spread = math.sqrt(nominal * (1 - nominal) / n)
        assert abs(share_inside(level, nominal) - nominal) < 4 * spread


def test_levels_in_closed_form() -> None:
    """Probability within r standard deviations: 1 - exp(-r^2 / 2) in the plane, erf(r / sqrt 2) on a line."""
    error = torch.tensor([[0.3, 0.0], [0.0, 0.8]]).double()
    covariance = torch.diag_embed(torch.tensor([[0.01, 1.0], [0.01, 0.16]]).double())
    expected = torch.tensor([1 - math.exp(-9 / 2), 1 - math.exp(-4 / 2)]).double()
    torch.testing.assert_close(region_level(error, covariance), expected)
    torch.testing.assert_close(
        interval_level(torch.tensor([-0.2]).double(), torch.tensor([0.1]).double()),
        torch.tensor([math.erf(2 / math.sqrt(2))]).double(),
    )
    unknown = torch.full((1, 2, 2), torch.inf).double()
    assert float(region_level(error[:1], unknown)) == 0.0
    assert math.isnan(share_inside(torch.zeros(0), 0.5))


def test_maximum_likelihood_is_calibrated() -> None:
    """Positions and phases of the greedy estimator on 40 scenes of 4 scatterers and 24 nodes."""
    scenario = Scenario(n_tx=12, n_rx=12, pixels=(9, 9), sparsity=0.05, snr_db=25.0)
    scene, csi = draw(scenario, 40, torch.Generator().manual_seed(11))
    estimate = GreedyEstimator()(csi, scene.array, scene.grid)
    metrics = [scene_metrics(scene, estimate, index, joint_bound(scene, index)) for index in range(40)]
    for kind, count in (("position", 160), ("phase", 24 * 40)):
        for nominal in LEVELS:
            share = sum(getattr(m, f"{kind}_inside_{round(100 * nominal)}") for m in metrics) / 40
            # errors within a scene are correlated through its phases: three times the spread of independent ones
            assert abs(share - nominal) < 3 * 3 * math.sqrt(nominal * (1 - nominal) / count), (kind, nominal)
