"""The search over starts ends at a residual consistent with the noise, at agreement, or after the last start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from problems import posed

from unfolded_ogamp.imaging.greedy import restarts
from unfolded_ogamp.imaging.greedy.rounds import GreedyState, all_running
from unfolded_ogamp.imaging.greedy.settings import RestartSettings
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import remove
from unfolded_ogamp.operators.search_grid import SearchGrid
from unfolded_ogamp.physics import link_phase_error

SCENARIO = Scenario(n_tx=8, n_rx=7, pixels=(8, 8), sparsity=0.1)
UNKNOWN_NOISE = {"noise_variance": torch.zeros(1, dtype=torch.float64)}
TRUTH = -1


class Search:
    """One scene with scripted starts, which end on the truth, or without the scatterer of a given number."""

    def __init__(self, scenario: Scenario = SCENARIO, **changed: object) -> None:
        *_, problem, self.truth = posed(scenario, seed=2, expected_count=1.0)
        self.problem = replace(problem, **changed)

    def end(self, number: int) -> GreedyState:
        lost = torch.arange(self.truth.used.shape[1])[None] == number
        return all_running(evaluate(remove(self.truth, lost), self.problem))

    def numbers(self) -> list[int]:
        """Indices of the scatterers, weakest first."""
        return sorted(range(self.truth.used.shape[1]), key=lambda number: float(self.end(number).model.cost))

    def best(self, first: int, others: Sequence[int], starts: int = 20, second_is_other: bool = True) -> Model:
        """The result of the search; `began` then holds the node phases of every restart."""
        self.began, ends = [], iter(others)

        def second(scenes: torch.Tensor) -> tuple[NodePhases, torch.Tensor]:
            return NodePhases.zero(self.problem.link, 1)[scenes], torch.full_like(scenes, second_is_other) > 0

        def run(problem: Problem, search_grid: SearchGrid, phases: NodePhases) -> GreedyState:
            assert len(problem.csi) == len(search_grid.position) == len(phases.tx) == 1
            self.began.append(phases)
            return self.end(next(ends))

        grid = self.problem.search_grid(0.25)
        settings = RestartSettings(together=starts)
        found = restarts.search(self.end(first), self.problem, grid, second, run, settings)
        return found.best.model


def test_a_residual_consistent_with_the_noise_ends_the_search() -> None:
    search = Search()
    search.best(TRUTH, [])
    assert search.began == []
    found = search.best(0, [1, 2, 3, TRUTH])
    assert len(search.began) == 4
    assert bool(found.sources.used.all())


def test_the_number_of_starts_is_limited_and_the_best_is_kept() -> None:
    search = Search()
    least, *others = search.numbers()
    found = search.best(others[0], [others[1], least, others[2]], starts=4)
    assert len(search.began) == 3
    torch.testing.assert_close(found.cost, search.end(least).model.cost)


def test_only_independent_starts_count_as_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise variance is unknown, samples are many. A start near the best phases is not independent of it."""
    search = Search(replace(SCENARIO, n_tx=21, n_rx=20), **UNKNOWN_NOISE)
    least, *others = search.numbers()
    search.best(least, [least] * 4)
    assert len(search.began) == 3
    search.best(least, [least] * 5, second_is_other=False)  # the second start has the phases of the first
    assert len(search.began) == 5
    search.best(least, [others[0], least, others[1], least, least, least, least])
    assert len(search.began) == 7
    # starts with a much larger residual do not count
    ends = [others[number // 2 % 3] for number in range(10)] + [least] * 8
    search.best(least, ends)
    assert len(search.began) == 13
    # if they do, two of seven independent starts are less than a third; the third of eight is more
    monkeypatch.setattr(restarts, "COMPARABLE", float("inf"))
    search.best(least, ends)
    assert len(search.began) == 15


def test_in_scenes_of_few_samples_agreement_needs_more_starts() -> None:
    search = Search(**UNKNOWN_NOISE)
    least, *_ = search.numbers()
    search.best(least, [least] * 19)
    assert len(search.began) == restarts.STARTS_IF_DOUBTFUL - 1


def test_every_second_restart_is_near_the_best_phases() -> None:
    search = Search(**UNKNOWN_NOISE)
    least, *others = search.numbers()
    search.best(least, others * 2, starts=8)
    link = search.problem.link[..., 0] > 0
    true = search.truth.tx_phase[:, :, None, None] - search.truth.rx_phase[:, None, :, None]
    turned = [
        link_phase_error(phases.tx[:, :, None] - phases.rx[:, None], true, link).square().mean().sqrt()
        for phases in search.began[1:]
    ]
    assert min(turned[0::2]) > 0.1
    assert max(turned[0::2]) < 0.7 < 1.2 < min(turned[1::2])


def test_known_phases_need_one_start() -> None:
    search = Search()
    search.problem = replace(search.problem, phases_known=torch.tensor([True]))
    search.best(0, [])
    assert search.began == []
