"""Sources beside stronger ones, and scenes with more of them than chance allows."""

from __future__ import annotations

from dataclasses import replace

import torch
from problems import posed

from unfolded_ogamp.imaging.likelihood.clusters import EXTENT, FALSE_ALARM, beside, clustered
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources

SCENARIO = Scenario(n_tx=4, n_rx=4, pixels=(20, 20), sparsity=0.03)


def at(places: torch.Tensor, problem: Problem) -> Sources:
    """Points of the same strength at places [B, S, 2] [m]."""
    ones = torch.ones(places.shape[:2], dtype=torch.complex128)
    none = torch.zeros(len(places), 4, dtype=torch.float64)
    around = problem[torch.zeros(len(places), dtype=torch.long)]
    return Sources.points(places, ones, ones.real > 0, (none, none), around)


def test_a_source_is_beside_a_stronger_one_that_is_not_beside_another_itself() -> None:
    *_, problem, _ = posed(SCENARIO)
    line = torch.tensor([[[0.0, 0.0], [0.8, 0.0], [1.6, 0.0], [5.0, 0.0]]], dtype=torch.float64)
    falling = torch.tensor([[4.0, 3.0, 2.0, 1.0]], dtype=torch.float64)
    found = beside(at(line, problem), falling, torch.tensor([1.0], dtype=torch.float64))
    assert found.tolist() == [[False, True, False, False]]


def test_points_spread_evenly_rarely_cluster_and_pairs_do() -> None:
    *_, problem, _ = posed(SCENARIO)
    generator = torch.Generator().manual_seed(1)
    half = 2.0 - EXTENT * float(problem.array.wavelength)
    even = half * (2 * torch.rand(400, 12, 2, generator=generator, dtype=torch.float64) - 1)
    around = problem[torch.zeros(400, dtype=torch.long)]
    strength = torch.rand(400, 12, generator=generator, dtype=torch.float64)
    assert float(clustered(at(even, problem), strength, around).double().mean()) < 3 * FALSE_ALARM
    aside = torch.tensor([0.05, 0.0], dtype=torch.float64)
    pairs = torch.cat([even[:, :6], even[:, :6] + aside], dim=1)
    assert bool(clustered(at(pairs, problem), strength, around).all())


def test_no_source_is_no_cluster() -> None:
    *_, problem, truth = posed(SCENARIO)
    nothing = replace(truth, used=torch.zeros_like(truth.used))
    assert not clustered(nothing, truth.reflectivity.abs(), problem).any()
