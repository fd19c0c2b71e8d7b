"""One scene for the imaging of a baseline: phases known, double precision."""

from __future__ import annotations

import torch
from problems import posed
from torch import Tensor

from unfolded_ogamp.imaging.baselines.points import Points, channel
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario

SMALL = Scenario(name="small", n_tx=14, n_rx=14, pixels=(10, 10), sparsity=0.05)


def geometry(scenario: Scenario = SMALL) -> Problem:
    """A problem whose CSI is not used."""
    return posed(scenario, expected_count=1.0).problem


def scattering(problem: Problem, position: Tensor, seed: int = 1) -> tuple[Points, Tensor]:
    """Points at `position` [S, D] with complex reflectivities of magnitude one to two, and their CSI."""
    generator = torch.Generator().manual_seed(seed)
    magnitude, turns = torch.rand(2, 1, len(position), dtype=torch.float64, generator=generator)
    points = Points(position[None], torch.polar(1 + magnitude, 2 * torch.pi * turns))
    return points, channel(points, problem)


def complex_noise(like: Tensor, seed: int) -> Tensor:
    """Complex Gaussian noise of variance one."""
    generator = torch.Generator().manual_seed(seed)
    return torch.view_as_complex(torch.randn(*like.shape, 2, dtype=torch.float64, generator=generator)) / 2**0.5


def dense_columns(points: Points, problem: Problem) -> Tensor:
    """The exact dictionary on the points over all links and subcarriers, column by column: [M, S]."""
    unit = torch.eye(points.position.shape[1], dtype=torch.complex128)
    alone = [channel(Points(points.position, one[None]), problem).flatten() for one in unit]
    return torch.stack(alone, dim=1)
