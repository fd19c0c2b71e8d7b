"""The rank of the links' matrix is a lower bound of the number of scatterers, whatever the node phases."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import posed

from unfolded_ogamp.imaging.evidence.rank import largest_block, with_least_count
from unfolded_ogamp.imaging.evidence.subcarriers import coherent
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario

SCENARIO = Scenario(n_tx=12, n_rx=10, pixels=(12, 12), sparsity=5 / 144, snr_db=30.0, phase_model="uniform")
N_SCENES = 50


def least_count(scenario: Scenario, n_scenes: int = N_SCENES) -> torch.Tensor:
    return with_least_count(coherent(posed(scenario, n_scenes, seed=3, expected_count=1.0).problem)).least_count


@pytest.mark.parametrize("snr_db", [-10.0, 10.0, 30.0])
@pytest.mark.parametrize("changed", [{}, {"missing_links": 0.15}, {"n_subcarriers": 3, "subcarrier_spacing": 20e6}])
def test_the_rank_is_never_above_the_number_of_scatterers(snr_db: float, changed: dict[str, float]) -> None:
    found = least_count(replace(SCENARIO, snr_db=snr_db, **changed))
    assert int(found.max()) <= 5
    if not changed:
        least = {-10.0: 0, 10.0: 4, 30.0: 5}[snr_db]
        assert float((found >= least).double().mean()) > 0.9


def test_noise_alone_hardly_ever_has_a_rank() -> None:
    """The limit is that of large matrices, which some small ones exceed."""
    found = least_count(replace(SCENARIO, snr_db=-60.0), 400)
    assert int(found.max()) <= 1
    assert int(found.sum()) <= 8


def turned(problem: Problem) -> Problem:
    generator = torch.Generator().manual_seed(4)
    tx, rx = (6.3 * torch.rand(N_SCENES, count, generator=generator, dtype=torch.float64) for count in (12, 10))
    phase = (tx[:, :, None] - rx[:, None])[..., None]
    return replace(problem, csi=problem.csi * torch.polar(torch.ones_like(phase), phase))


def test_node_phases_change_nothing() -> None:
    problem = posed(replace(SCENARIO, snr_db=10.0), N_SCENES, seed=3, expected_count=1.0).problem
    before, after = with_least_count(problem).least_count, with_least_count(turned(problem)).least_count
    assert torch.equal(before, after)
    assert len(set(before.tolist())) > 1


def test_an_unknown_noise_variance_leaves_the_rank_unknown() -> None:
    problem = posed(SCENARIO, 3, seed=3, expected_count=1.0).problem
    noise = problem.noise_variance * torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    assert (with_least_count(replace(problem, noise_variance=noise)).least_count > 0).tolist() == [True, False, True]


def test_a_block_without_gaps_is_found() -> None:
    """One dead Rx and one Tx with a gap: only what holds gaps is left out."""
    link = torch.ones(6, 7, dtype=torch.bool)
    link[:, 2] = False
    link[4, 5] = False
    tx, rx = largest_block(link)
    assert bool(link[tx][:, rx].all())
    assert 2 not in rx.tolist()
    assert len(tx) * len(rx) in (30, 36 - 6)
    assert [part.tolist() for part in largest_block(~link & False)] in ([[], list(range(7))], [list(range(6)), []])
    assert [part.tolist() for part in largest_block(torch.ones(2, 3, dtype=torch.bool))] == [[0, 1], [0, 1, 2]]
