"""Scenarios and mixtures check their values, and a mixture draws within its ranges."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
import torch

from unfolded_ogamp.imaging.scenes.mixture import Component, Mixture
from unfolded_ogamp.imaging.scenes.scenario import Scenario


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_tx": 0}, "n_tx must be at least 1, got 0"),
        ({"n_subcarriers": 0}, "n_subcarriers must be at least 1, got 0"),
        ({"pixel": 0.0}, r"pixel must be positive, got 0\.0"),
        ({"pixel": float("nan")}, "pixel must be a finite number, got nan"),
        ({"carrier_frequency": -1.0}, "carrier_frequency must be positive"),
        ({"phase_std": -0.1}, "phase_std must not be negative"),
        ({"sparsity": 1.5}, r"sparsity must lie in \[0, 1\], got 1\.5"),
        ({"blocked_share": -0.1}, r"blocked_share must lie in \[0, 1\]"),
        ({"snr_db": float("inf")}, "snr_db must be a finite number"),
        ({"pixels": (5,)}, r"pixels must be 2 or 3 counts of at least 1, got \(5,\)"),
        ({"pixels": (5, 0)}, "pixels must be 2 or 3 counts"),
        ({"node_radius": (0.5, 1.0)}, r"node_radius must be \(inner, outer\) with 0\.7071 < inner"),
        ({"node_radius": (1.2, 1.0)}, "node_radius must be"),
        ({"room": (5.1, 5.0)}, r"room must have sides above those of the region, \(5\.0, 5\.0\) m, got \(5\.1, 5\.0\)"),
        ({"room": (9.0, 9.0, 9.0)}, "room must have sides above"),
        ({"pixels": (5, 5, 5)}, r"node_radius must be \(inner, outer\) with 0\.866 < inner"),
        ({"phase_model": "perfect"}, "phase_model must be one of residual, uniform, blocked, clocks, got 'perfect'"),
        ({"blocked_los": 0.3}, r"blocked_los needs los, got blocked_los = 0\.3"),
        ({"phase_model": "clocks", "los": True}, 'phase_model "clocks" needs a bandwidth'),
        ({"blocked_los": 1.2}, r"blocked_los must lie in \[0, 1\], got 1\.2"),
        ({"bandwidth": 100e6}, "bandwidth needs los, which synchronises over it, got los = False"),
        ({"los": True, "bandwidth": 500e3}, r"bandwidth must hold more than twice the 2 subcarriers, got 500000\.0"),
        ({"los": True, "subtract_los": True}, "subtract_los needs a bandwidth to synchronise over, got None"),
        ({"missing_links": -0.1}, "missing_links must not be negative"),
        ({"missing_links": 0.95}, "missing_links must leave at least n_tx . n_rx - 1 = 59 of the 900 links, got 0.95"),
    ],
)
def test_scenario_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        Scenario(**fields)


MIXTURE = Mixture(
    [
        Component(
            Scenario("small"),
            weight=3,
            ranges={"side": [3, 5], "nodes": [4, 6], "snr_db": [0, 20], "pixel": [0.1, 0.3], "missing_links": [0, 0.4]},
        ),
        Component(
            Scenario("volume", pixels=(4, 4, 4), node_radius=(1.0, 1.5)),
            ranges={"side": [2, 3], "sparsity": [0.01, 0.05]},
        ),
    ]
)


def test_mixture_draws_within_its_ranges():
    assert pickle.loads(pickle.dumps(MIXTURE)) == MIXTURE
    generator = torch.Generator().manual_seed(0)
    drawn = [MIXTURE.draw_scenario(generator) for _ in range(1000)]
    small = [scenario for scenario in drawn if scenario.name == "small"]
    volume = [scenario for scenario in drawn if scenario.name == "volume"]
    assert len(small) == pytest.approx(750, abs=4 * (1000 * 0.75 * 0.25) ** 0.5)
    assert set(Counter(scenario.pixels for scenario in small)) == {(3, 3), (4, 4), (5, 5)}
    assert {(scenario.n_tx, scenario.n_rx) for scenario in small} == {(4, 4), (5, 5), (6, 6)}
    snr = torch.tensor([scenario.snr_db for scenario in small])
    assert 0 <= snr.min() < 1
    assert 19 < snr.max() <= 20
    assert snr.mean() == pytest.approx(10, abs=4 * 20 / (12 * len(small)) ** 0.5)
    assert {scenario.pixels for scenario in volume} == {(2, 2, 2), (3, 3, 3)}
    assert all(0.01 <= scenario.sparsity <= 0.05 for scenario in volume)
    assert {scenario.snr_db for scenario in volume} == {25.0}


def test_ranges_of_counts_and_of_spacings():
    ranges = {"n_tx": (4, 6), "n_rx": (3, 4), "n_subcarriers": (1, 3), "scatterers": (2, 5), "side": (4, 9)}
    component = Component(Scenario(), ranges={**ranges, "subcarrier_spacing": (1e5, 1e7)})
    generator = torch.Generator().manual_seed(1)
    drawn = [component.draw_scenario(generator) for _ in range(1000)]
    assert {(scenario.n_tx, scenario.n_rx) for scenario in drawn} == {(t, r) for t in (4, 5, 6) for r in (3, 4)}
    assert {(scenario.n_scatterers, scenario.pixels[0]) for scenario in drawn} == {
        (count, side) for count in (2, 3, 4, 5) for side in range(4, 10)
    }
    assert {scenario.n_subcarriers for scenario in drawn} == {1, 2, 3}
    decades = torch.tensor([scenario.subcarrier_spacing for scenario in drawn]).log10()
    assert 5 <= decades.min() < 5.02
    assert 6.98 < decades.max() <= 7
    assert decades.mean() == pytest.approx(6, abs=4 * 2 / (12 * len(drawn)) ** 0.5)


def test_order_of_ranges_has_no_effect():
    ranges = {"snr_db": (0, 20), "side": (3, 9), "nodes": (4, 20)}
    forward = Component(Scenario(), ranges=ranges).draw_scenario(torch.Generator().manual_seed(5))
    backward = Component(Scenario(), ranges=dict(reversed(ranges.items()))).draw_scenario(
        torch.Generator().manual_seed(5)
    )
    assert forward == backward
    assert forward != Scenario()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight": 0.0}, "weight must be positive"),
        ({"ranges": {"moon": (1, 2)}}, "ranges must name some of nodes, side, .* got 'moon'"),
        ({"ranges": {"snr_db": (20, 10)}}, r"range of snr_db must be \(lowest, highest\), got \(20, 10\)"),
        ({"ranges": {"snr_db": (20,)}}, "range of snr_db must be"),
        ({"ranges": {"nodes": (4.5, 10)}}, "range of nodes must be two integers"),
        ({"ranges": {"nodes": (3, 30), "missing_links": (0.0, 0.8)}}, "missing_links must leave at least"),
    ],
)
def test_component_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        Component(Scenario(), **fields)


def test_mixture_needs_a_component():
    with pytest.raises(ValueError, match="hold at least one component"):
        Mixture([])
