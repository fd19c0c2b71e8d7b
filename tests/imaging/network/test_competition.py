"""Before training the competition is the information criterion; it depends on neither coordinates nor order."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import modelled, posed

from unfolded_ogamp.imaging.greedy import pruning
from unfolded_ogamp.imaging.greedy.pruning import Evidence
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.network.competition import LARGEST_LOG_ODDS, Competition
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import pad, remove
from unfolded_ogamp.physics import NodeArray, PixelGrid

PLANE = Scenario(n_tx=10, n_rx=9, pixels=(7, 7), sparsity=0.1)
SPACE = Scenario(n_tx=10, n_rx=9, pixels=(4, 4, 4), sparsity=0.08, node_radius=(1.0, 1.5))


def trained(seed: int) -> Competition:
    network = Competition(8).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return network


def almost_true(scenario: Scenario) -> tuple[Problem, Model]:
    """The true scatterers, without one of the second scene."""
    _, _, problem, truth = posed(scenario, 2, seed=3, expected_count=1.0)
    lost = torch.zeros_like(truth.used)
    lost[1, -1] = True
    return problem, modelled(remove(truth, lost), problem)


def evidence_of(model: Model, problem: Problem) -> Evidence:
    return pruning.evidence(model, problem, pruning.exact_uncertainty(model, problem))


def decide(network: Competition, model: Model, problem: Problem) -> torch.Tensor:
    return network(model, problem, evidence_of(model, problem))


@pytest.mark.parametrize("scenario", [PLANE, SPACE], ids=["plane", "space"])
def test_untrained_it_is_the_information_criterion(scenario: Scenario) -> None:
    problem, model = almost_true(scenario)
    evidence = evidence_of(model, problem)
    expected = pruning.log_odds(evidence, model, problem)
    found = Competition(8).double()(model, problem, evidence)
    torch.testing.assert_close(found, LARGEST_LOG_ODDS * torch.tanh(expected / LARGEST_LOG_ODDS))
    assert torch.equal(found > 0, expected > 0)


@pytest.mark.parametrize("scenario", [PLANE, SPACE], ids=["plane", "space"])
def test_order_place_and_unused_slots_have_no_effect(scenario: Scenario) -> None:
    problem, model = almost_true(scenario)
    network = trained(1)
    plain = decide(network, model, problem)
    order = torch.arange(plain.shape[1] - 2, -1, -1)
    order = torch.cat([order, torch.tensor([plain.shape[1] - 1])])
    sources = model.sources
    turned = replace(
        sources,
        position=sources.position[:, order],
        reflectivity=sources.reflectivity[:, order],
        used=sources.used[:, order],
    )
    used = turned.used
    torch.testing.assert_close(
        torch.where(used, decide(network, modelled(turned, problem), problem), 0),
        torch.where(used, plain[:, order], 0),
    )
    shift = torch.tensor([3.0, -7.0, 2.0])[: len(scenario.pixels)].double()
    array, grid = problem.array, problem.grid
    moved = replace(
        problem,
        array=NodeArray(array.tx + shift, array.rx + shift, array.frequency, array.carrier_frequency),
        grid=PixelGrid(grid.centre + shift, grid.pixel),
    )
    elsewhere = modelled(replace(sources, position=sources.position + shift), moved)
    torch.testing.assert_close(
        torch.where(sources.used, decide(network, elsewhere, moved), 0),
        torch.where(sources.used, plain, 0),
        rtol=1e-5,
        atol=1e-6,
    )
    more = decide(network, modelled(pad(sources, plain.shape[1] + 3), problem), problem)
    torch.testing.assert_close(more[:, : plain.shape[1]][sources.used], plain[sources.used])


def test_neighbours_out_of_reach_have_no_effect() -> None:
    problem, model = almost_true(PLANE)
    network = trained(2)
    sources = model.sources
    found = evidence_of(model, problem)
    prior = pruning.log_odds(found, model, problem)
    wavelength = float(problem.array.wavelength[0])
    # sources 10 wavelengths apart on a line; only positions change, not the evidence
    apart = torch.arange(sources.position.shape[1]).double() * 10 * wavelength
    line = torch.stack([apart, 0 * apart], dim=1).expand_as(sources.position)
    alone = network.correction(replace(model, sources=replace(sources, position=line)), problem, found, prior)
    near = line.clone()
    near[:, 1] = near[:, 0] + 0.3 * wavelength
    heard = network.correction(replace(model, sources=replace(sources, position=near)), problem, found, prior)
    assert bool((heard[:, :2] - alone[:, :2]).abs().amin() > 1e-3)
    torch.testing.assert_close(heard[:, 2:], alone[:, 2:])
