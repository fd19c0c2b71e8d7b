"""The criterion selects the better start of every scene; starts with the same scatterers agree."""

from __future__ import annotations

from dataclasses import replace

import torch
from problems import modelled, posed, started

from unfolded_ogamp.imaging.greedy import agreement, restarts, start_phases
from unfolded_ogamp.imaging.greedy.rounds import GreedyState, all_running
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources, pad, remove


def true_state(n_scenes: int) -> tuple[Problem, GreedyState]:
    """The true scatterers of a batch of scenes, as the result of a start."""
    scenario = Scenario(n_tx=8, n_rx=8, pixels=(8, 8), sparsity=0.06)
    *_, problem, truth = posed(scenario, n_scenes, seed=2, expected_count=1.0)
    return problem, all_running(modelled(truth, problem))


def with_sources(state: GreedyState, sources: Sources, problem: Problem) -> GreedyState:
    return replace(state, joint=started(sources, problem))


def test_phase_difference_is_the_root_mean_square_over_links_without_the_gauge() -> None:
    generator = torch.Generator().manual_seed(1)
    tx, rx = (2 * torch.randn(3, n, 1, dtype=torch.float64, generator=generator) for n in (7, 6))
    link = torch.rand(3, 7, 6, generator=generator) < 0.7
    first = NodePhases.at_rest(tx, rx)
    together = NodePhases.at_rest(tx + 1.3, rx + 0.4)
    assert float(start_phases.phase_difference(first, together, link).max()) < 1e-9
    step = torch.zeros_like(tx)
    step[:, 0] = 0.05
    share = link[:, 0].sum(1) / link.sum((1, 2))  # of the links: a variable that is 0.05 on these, 0 on all others
    found = start_phases.phase_difference(first, NodePhases.at_rest(tx + step, rx), link)
    torch.testing.assert_close(found, 0.05 * (share * (1 - share)).sqrt().double(), rtol=1e-4, atol=0)


def test_the_better_start_is_kept_scene_by_scene() -> None:
    problem, truth = true_state(4)
    sources = truth.model.sources
    first = torch.zeros_like(sources.used).index_fill(1, torch.tensor([0]), True)
    # scenes 0, 1 and 3 miss a scatterer; scene 1 restarts and finds it, scene 2 restarts and misses one
    lost = first & torch.tensor([True, True, False, True])[:, None]
    best = with_sources(truth, remove(sources, lost), problem)
    scenes = torch.tensor([1, 2])
    again = pad(remove(sources, first & torch.tensor([False, False, True, False])[:, None]), 7)
    other = with_sources(truth, again, problem)[scenes]
    found, same, replaced = restarts.better(best, other, scenes, problem)
    assert found.model.sources.used.sum(1).tolist() == (sources.used.sum(1) - torch.tensor([1, 0, 0, 1])).tolist()
    torch.testing.assert_close(found.model.cost[1:3], truth.model.cost[1:3])
    assert not same.any()
    assert replaced.tolist() == [False, True, False, False]


def test_starts_agree_up_to_order_and_negligible_scatterers() -> None:
    problem, truth = true_state(5)
    sources = truth.model.sources
    away = torch.tensor([1.0, 0.0]).double() * problem.array.wavelength[0]
    # in scene 3 the first scatterer has half of the negligible power
    power = model_selection.strength(truth.model, problem)[3]
    reflectivity = sources.reflectivity.clone()
    reflectivity[3, 0] *= (0.5 * agreement.NEGLIGIBLE * power[1:].sum() / power[0]).sqrt()
    sources = replace(sources, reflectivity=reflectivity)
    position = sources.position.clone()
    position[1] += 0.9 * agreement.SAME_PLACE * away
    position[2, 0] += 1.1 * agreement.SAME_PLACE * away
    position[3, 0] += away
    gone = sources.used & (torch.arange(5) == 4)[:, None]
    moved = remove(replace(sources, position=position), gone)
    order = torch.arange(sources.used.shape[1] - 1, -1, -1)
    turned = replace(
        moved, position=moved.position[:, order], reflectivity=moved.reflectivity[:, order], used=moved.used[:, order]
    )
    first, second, nothing = (modelled(each, problem) for each in (sources, turned, remove(sources, sources.used)))
    for one, other in ((first, second), (second, first)):
        assert agreement.agree(one, other, problem).tolist() == [True, True, False, True, False]
    assert not agreement.agree(nothing, nothing, problem).any()
