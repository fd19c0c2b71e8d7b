"""Tests of model mismatch: clustered points, and scatterers on which the nodes disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import modelled, posed
from scipy.stats import binom

from unfolded_ogamp.evaluation.point_sets import match, pairwise_distance
from unfolded_ogamp.imaging.assembly.outcome import MismatchWarning
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.mismatch import diagnosis
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import Scene, measure

SMALL = Scenario(name="small", n_tx=14, n_rx=14, pixels=(10, 10), sparsity=0.05)
SPACE = replace(SMALL, name="space", pixels=(6, 6, 6), node_radius=(1.0, 1.5), sparsity=0.02)


def on_a_line(places: list[float]) -> Sources:
    position = torch.tensor([[[place, 0.0] for place in places]], dtype=torch.float64)
    ones = torch.ones(1, len(places), dtype=torch.complex128)
    return Sources(position, ones, ones.real > 0, torch.zeros(1, 1), torch.zeros(1, 1))


def test_a_companion_is_next_to_a_stronger_source_that_is_no_companion():
    sources = on_a_line([0.0, 0.8, 1.6, 5.0])
    falling = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    found = diagnosis.companions(sources, falling, torch.tensor([1.0]))
    assert found.tolist() == [[False, True, False, False]]
    middle = diagnosis.companions(sources, torch.tensor([[3.0, 4.0, 2.0, 1.0]]), torch.tensor([1.0]))
    assert middle.tolist() == [[True, False, True, False]]
    unused = replace(sources, used=torch.tensor([[False, True, True, True]]))
    assert diagnosis.companions(unused, falling, torch.tensor([1.0])).tolist() == [[False, False, True, False]]


@pytest.mark.parametrize("n_companions", range(1, 12))
@pytest.mark.parametrize("dimension", [2, 3])
def test_clustering_threshold_is_close_to_the_binomial_tail(dimension: int, n_companions: int):
    """The bound lies above the binomial tail, and close to it."""
    problem = posed(SMALL if dimension == 2 else SPACE).problem
    sources = on_a_line([float(place) for place in range(16)])
    position = torch.nn.functional.pad(sources.position, (0, dimension - 2))
    sources = replace(sources, position=position)
    companion = torch.arange(16)[None] < n_companions
    length = 0.15 if dimension == 2 else 0.22
    radius = torch.tensor([length], dtype=torch.float64)
    near = torch.pi * length**2 / (100 * 0.2**2) if dimension == 2 else 4 / 3 * torch.pi * length**3 / (216 * 0.2**3)
    share = (16 - n_companions) * near
    tail = binom.sf(n_companions - 1, 15, min(share, 1.0))
    found = diagnosis.clustered(sources, companion, problem, radius, false_alarm=0.01)
    if found.item():
        assert tail < 0.01
    elif n_companions > 15 * share:
        assert tail > 1e-4


def test_sources_that_avoid_one_another_do_not_cluster():
    """Their neighbourhoods fill half of the region: that all stay empty is improbable, too, but no sign of targets."""
    problem = posed(SMALL).problem
    sources = on_a_line([float(place) for place in range(16)])
    radius = torch.tensor([0.2], dtype=torch.float64)
    nobody = torch.zeros(1, 16, dtype=torch.bool)
    assert not diagnosis.clustered(sources, nobody, problem, radius, false_alarm=0.01).any()


def test_node_noise_needs_more_than_one_node():
    """Without the one Tx that has links nothing is left; the noise is that of the Rx alone."""
    _, _, problem, sources = posed(SMALL, 2, seed=1)
    link = torch.zeros_like(problem.link)
    link[:, 3] = 1
    few = replace(problem, link=link, csi=problem.csi * link)
    found = diagnosis.node_noise(modelled(sources, few), few)
    assert bool((found > 0).all())
    assert float(found.max()) < 100 * float(few.noise_variance.max())


def test_node_noise_is_the_jackknife_variance():
    """Squared changes of the reflectivity in fits without each Tx or Rx, by explicit loops."""
    _, _, problem, sources = posed(SMALL, 2, seed=1)
    one = replace(
        sources,
        position=sources.position[:, :1] + 0.02,
        reflectivity=sources.reflectivity[:, :1],
        used=sources.used[:, :1],
    )
    columns = modelled(one, problem).columns
    column = (columns.tx[..., 0, 0][..., None] * columns.rx[..., 0, 0][:, :, None]).movedim(1, -1)
    observation = problem.csi * one.rotation
    fitted = fit(column, observation)
    found = diagnosis.node_noise(modelled(replace(one, reflectivity=fitted[:, None]), problem), problem)
    sides = []
    for axis, count in ((1, SMALL.n_tx), (2, SMALL.n_rx)):
        moves = torch.zeros(2, dtype=torch.float64)
        for node in range(count):
            rest = torch.tensor([other for other in range(count) if other != node])
            moves += (fit(column.index_select(axis, rest), observation.index_select(axis, rest)) - fitted).abs() ** 2
        sides.append(moves * column.abs().square().sum((1, 2, 3)))
    torch.testing.assert_close(found[:, 0], torch.maximum(*sides))


def fit(column: torch.Tensor, observation: torch.Tensor) -> torch.Tensor:
    """Reflectivity of one scatterer by least squares [B]."""
    return (column.conj() * observation).sum((1, 2, 3)) / column.abs().square().sum((1, 2, 3))


def found_and_false(scene: Scene, csi) -> tuple[list[int], list[int]]:
    """Numbers of targets with a scatterer within a quarter of a wavelength, and of scatterers beyond."""
    estimate = GreedyEstimator()(csi, scene.array, scene.grid)
    counts = []
    for true, scatterers in zip(scene.position, estimate.scatterers, strict=True):
        distance = pairwise_distance(true.double(), scatterers.position.double(), 1e3)
        n_found = len(match(distance, float(scene.array.wavelength[0]) / 4)[0])
        counts.append((n_found, len(scatterers.position) - n_found))
    found, false = zip(*counts, strict=True)
    return list(found), list(false)


def test_weak_scatterers_beside_strong_ones_are_found():
    """Reflectivities spread evenly over 30 dB with any phase: all exceed the noise, and all are found."""
    scenario = replace(SMALL, n_tx=24, n_rx=24, sparsity=0.07, snr_db=25.0)
    scene = draw_scene(scenario, 6, torch.Generator().manual_seed(2))
    count = scene.position.shape[1]
    spread = 10 ** (-30 / 20 * torch.arange(count) / (count - 1))
    phase = 6.28 * torch.rand(6, count, generator=torch.Generator().manual_seed(3))
    csi = measure(
        replace(scene, reflectivity=torch.polar(spread.expand(6, -1), phase)), torch.Generator().manual_seed(4)
    )
    found, false = found_and_false(scene, csi)
    assert sum(found) >= 6 * count - 2
    assert sum(false) == 0


def test_unknown_link_gains_cause_no_false_scatterers():
    """Every link has a gain error of 5 %: the residual is many times the noise, and a warning says so."""
    scene = draw_scene(replace(SMALL, snr_db=45.0), 6, torch.Generator().manual_seed(5))
    csi = measure(scene, torch.Generator().manual_seed(6))
    error = 0.05 * torch.randn(*csi.value.shape[:3], 2, generator=torch.Generator().manual_seed(7)).double()
    wrong = replace(csi, value=csi.value * (1 + torch.view_as_complex(error).to(csi.value)[..., None]))
    with pytest.warns(MismatchWarning, match="times the noise, and its variance is raised"):
        found, false = found_and_false(scene, wrong)
    assert sum(found) == 6 * scene.position.shape[1]
    assert sum(false) == 0


def test_extended_targets_are_one_scatterer_each():
    """Each target is a ring of twelve points, a quarter of a wavelength across."""
    scenario = replace(SMALL, n_tx=24, n_rx=24, sparsity=0.04, snr_db=35.0)
    scene = draw_scene(scenario, 6, torch.Generator().manual_seed(8))
    angle = 2 * torch.pi * torch.arange(12) / 12
    points = torch.stack([angle.cos(), angle.sin()], dim=1).to(scene.position) * scene.array.wavelength[0] / 8
    grown = replace(
        scene,
        position=(scene.position[:, :, None] + points).flatten(1, 2),
        reflectivity=scene.reflectivity.repeat_interleave(12, dim=1) / 12,
    )
    csi = measure(grown, torch.Generator().manual_seed(9))
    with pytest.warns(MismatchWarning, match="targets are extended"):
        found, false = found_and_false(scene, csi)
    assert sum(found) == 6 * scene.position.shape[1]
    assert sum(false) <= 1


def test_node_threshold_holds_its_false_alarm_probability():
    """By simulation: the squared mean of n complex normal values over their jackknife variance."""
    generator = torch.Generator().manual_seed(10)
    draws = torch.view_as_complex(torch.randn(200_000, 6, 2, generator=generator, dtype=torch.float64))
    mean = draws.mean(1, keepdim=True)
    ratio = mean[:, 0].abs().square() * 6 * 5 / (draws - mean).abs().square().sum(1)
    chance = torch.tensor(0.01, dtype=torch.float64)
    exceeded = int((ratio > diagnosis.node_threshold(chance, 6)).sum())
    low, high = binom.interval(0.999, 200_000, 0.01)
    assert low < exceeded < high
