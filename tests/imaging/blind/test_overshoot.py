"""Overshoot and swap finds scatterers and node phases of scenes with few nodes without synchronisation."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch
from problems import posed

from unfolded_ogamp.imaging.blind import growth, overshoot
from unfolded_ogamp.imaging.blind.settings import OvershootSettings
from unfolded_ogamp.imaging.evidence.rank import with_least_count
from unfolded_ogamp.imaging.evidence.subcarriers import coherent
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.operators.written_grid import WrittenGrid

SMALL = Scenario(name="small", n_tx=8, n_rx=8, pixels=(10, 10), sparsity=0.04, phase_model="uniform")
SETTINGS = OvershootSettings()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def scene(scenario: Scenario, seed: int) -> tuple[Problem, Sources]:
    given = posed(scenario, 1, seed, expected_count=1.0)
    return with_least_count(coherent(given.problem)), given.truth


def found(problem: Problem, count: int, most: int, settings: OvershootSettings = SETTINGS) -> Model | None:
    """The best fit of the first proposals that is consistent with the noise."""
    for model in islice(overshoot.proposals(problem, count, generator(), settings), most):
        if bool(model_selection.consistent(model[:1], problem)):
            return model[:1]
    return None


def missed(truth: Sources, model: Model | None, problem: Problem) -> int:
    """Number of true scatterers without a source within a tenth of a wavelength."""
    assert model is not None
    distance = torch.cdist(truth.position[0], model.sources.position[0]).amin(1)
    return int((distance > 0.1 * problem.array.wavelength).sum())


@pytest.mark.parametrize(
    "scenario",
    [
        SMALL,
        replace(SMALL, missing_links=0.2, sparsity=0.03),
        replace(SMALL, n_subcarriers=2, subcarrier_spacing=20e6),
        replace(SMALL, los=True, blocked_los=0.8),
        replace(SMALL, pixels=(5, 5, 5), sparsity=3 / 125, node_radius=(1.0, 1.5)),
    ],
    ids=["plain", "missing links", "two subcarriers", "some lines of sight", "volume"],
)
def test_scatterers_are_found_without_synchronisation(scenario):
    problem, truth = scene(scenario, seed=4)
    model = found(problem, scenario.n_scatterers, most=10)
    assert missed(truth, model, problem) == 0


@pytest.mark.parametrize("n_tx", [5, 6])  # 6: with 4 sources, there are 24 unknowns and 24 samples
def test_a_fit_never_has_as_many_unknowns_as_samples(n_tx):
    problem, _ = scene(replace(SMALL, n_tx=n_tx, n_rx=4, sparsity=0.06), seed=1)
    settings = replace(SETTINGS, starts=4, extra=20, cycles=1)
    for model in islice(overshoot.proposals(problem, 3, generator(), settings), 3):
        assert (model.cost.diff() >= 0).all()
        unknowns = model_selection.unknowns(model, problem)
        assert (unknowns < problem.n_samples).all()
        assert (unknowns + 4 >= problem.n_samples).all()  # but one source more would be too many


def test_growth_keeps_the_models_of_lowest_cost():
    problem, _ = scene(SMALL, seed=3)
    images = WrittenGrid.of(problem.search_grid(0.25), problem.link)
    settings = replace(SETTINGS, starts=20, undecided=2.0, kept=3)
    phases = overshoot.start_phases(problem, generator(), settings, None)
    model = growth.without_sources(growth.copies(problem, 20), phases)
    every = replace(settings, kept=20)
    for count, number in ((2, 20), (3, 9), (4, 5), (5, 3)):  # 20 (2 / count)^2, at least 3
        all_costs = growth.grow(model, problem, images, count, every).cost
        model = growth.grow(model, problem, images, count, settings)
        torch.testing.assert_close(model.cost.sort().values, all_costs.sort().values[:number])


def test_too_few_samples_give_no_fit():
    problem, _ = scene(replace(SMALL, n_tx=2, n_rx=3, sparsity=0.01), seed=1)
    assert list(overshoot.proposals(problem, 1, generator(), SETTINGS)) == []


def test_renumbered_nodes_give_the_same_scatterers():
    problem, _ = scene(SMALL, seed=5)
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    turned = replace(
        problem,
        array=replace(problem.array, tx=problem.array.tx[:, order], rx=problem.array.rx.flip(1)),
        **{name: getattr(problem, name)[:, order].flip(2) for name in ("csi", "los", "trusted", "link")},
    )
    first, second = (found(one, SMALL.n_scatterers, most=10) for one in (problem, turned))
    assert first is not None
    certain = growth.without_least_certain(first, problem, SETTINGS.extra).sources
    assert missed(certain, second, problem) == 0


def test_a_fit_does_not_depend_on_the_others_of_its_batch():
    problem, _ = scene(SMALL, seed=6)
    images = WrittenGrid.of(problem.search_grid(0.25), problem.link)
    phases = overshoot.start_phases(problem, generator(), replace(SETTINGS, starts=4), None)
    every, alone = growth.copies(problem, 4), growth.copies(problem, 1)
    of_all = growth.grow(growth.without_sources(every, phases), problem, images, 4, SETTINGS)
    one = growth.grow(growth.without_sources(alone, phases[2:3]), problem, images, 4, SETTINGS)
    torch.testing.assert_close(one.sources.position, of_all.sources.position[2:3], rtol=0, atol=1e-8)


def test_the_least_certain_source_is_one_of_two_in_place_of_one_scatterer():
    problem, truth = scene(SMALL, seed=7)
    beside = truth.position[:, :1] + 0.02 * problem.array.wavelength
    both = truth.with_points(beside, truth.reflectivity[:, :1], truth.used[:, :1])
    model = growth.evaluate(both, problem)
    left = growth.without_least_certain(model, problem, 1).sources.position
    assert missed(truth, growth.without_least_certain(model, problem, 1), problem) == 0
    assert left.shape[1] == truth.position.shape[1]


def test_starts_use_half_of_the_lines_of_sight():
    """The phases of some starts are right, and no start is like another one."""
    problem, truth = scene(replace(SMALL, los=True, snr_db=40.0, sparsity=0.01), seed=2)
    settings = replace(SETTINGS, starts=6)
    phases = overshoot.start_phases(problem, generator(), settings, None)
    started = phases.tx[:, :, None, 0] - phases.rx[:, None, :, 0]
    right = torch.cos(started - (truth.tx_phase[:, :, None] - truth.rx_phase[:, None])).mean((1, 2))
    assert right.amax() > 0.95
    assert right.std() > 1e-3


def test_starts_near_given_phases_stay_near_them():
    problem, _ = scene(SMALL, seed=8)
    given = NodePhases.at_rest(torch.full((1, 8, 1), 2.0).double(), torch.full((1, 8, 1), -1.0).double())
    settings = replace(SETTINGS, starts=200, jitter=0.3)
    phases = overshoot.start_phases(problem, generator(), settings, given)
    for side, mean in ((phases.tx, 2.0), (phases.rx, -1.0)):
        assert abs(float(side.mean()) - mean) < 0.05
        assert abs(float(side.std()) - 0.3) < 0.03
