"""Every shipped scenario differs from "paper" only where the design says so."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, replace

import pytest
import torch

from unfolded_ogamp.imaging.scenes.named import MIXTURES, SCENARIOS
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import SPEED_OF_LIGHT

OVERRIDES = {
    "paper": {},
    "toy": {"n_tx": 10, "n_rx": 10, "pixels": (10, 10), "sparsity": 0.05},
    "snr_10": {"snr_db": 10.0},
    "snr_0": {"snr_db": 0.0},
    "dense": {"sparsity": 0.05},
    "coarse": {"pixel": 0.5},
    "nodes_16": {"n_tx": 16, "n_rx": 16},
    "phase_04": {"phase_std": 0.4 * math.pi},
    "phase_06": {"phase_std": 0.6 * math.pi},
    "blind": {"phase_model": "uniform"},
    "blocked": {"phase_model": "blocked", "phase_std": 0.05 * math.pi, "blocked_share": 0.3},
    "sparse_links": {"missing_links": 0.4},
    "end_to_end": {"phase_model": "clocks", "los": True, "blocked_los": 0.3, "bandwidth": 100e6},
    "volume": {"pixels": (11, 11, 11), "node_radius": (1.0, 1.5), "sparsity": 0.01},
    "large": {"n_tx": 60, "n_rx": 60, "pixels": (250, 250), "sparsity": 0.001},
    "blind_16": {"phase_model": "uniform", "n_tx": 16, "n_rx": 16},
    "blind_snr_0": {"phase_model": "uniform", "snr_db": 0.0},
    **{
        f"blind_{n}": {"phase_model": "uniform", "n_tx": n, "n_rx": n, "pixels": (10, 10), "sparsity": sparsity}
        for n, sparsity in ((10, 0.06), (8, 0.05), (5, 0.03))
    },
    **{
        f"blind_{n}_wide": {"phase_model": "uniform", "n_tx": n, "n_rx": n, "sparsity": sparsity}
        for n, sparsity in ((10, 0.01), (8, 0.008), (5, 0.005))
    },
    "few_nodes": {"n_tx": 12, "n_rx": 12},
}

PAPER = {
    "name": "paper",
    "n_tx": 30,
    "n_rx": 30,
    "pixels": (25, 25),
    "pixel": 0.2,
    "node_radius": (0.75, 1.25),
    "room": None,
    "carrier_frequency": 1e9,
    "n_subcarriers": 2,
    "subcarrier_spacing": 120e3,
    "sparsity": 0.03,
    "off_grid": True,
    "reflectivity_std": 0.1,
    "reflectivity_spread": 0.0,
    "snr_db": 25.0,
    "phase_model": "residual",
    "phase_std": 0.2 * math.pi,
    "blocked_share": 0.3,
    "missing_links": 0.0,
    "los": False,
    "blocked_los": 0.0,
    "bandwidth": None,
    "subtract_los": False,
}


def test_paper_is_the_default():
    assert asdict(Scenario()) == PAPER


@pytest.mark.parametrize("name", OVERRIDES)
def test_scenario_differs_from_paper_only_where_it_says(name):
    assert asdict(SCENARIOS[name]) == PAPER | {"name": name} | OVERRIDES[name]


@pytest.mark.parametrize("name", [*SCENARIOS, *MIXTURES])
def test_scenario_or_mixture_is_known_by_its_name(name):
    assert {**SCENARIOS, **MIXTURES}[name].name == name


def test_rooms():
    room = SCENARIOS["room"]
    assert room.region == pytest.approx((5, 3), rel=0.01)
    assert room.pixel * room.carrier_frequency / SPEED_OF_LIGHT == pytest.approx(2 / 3, rel=0.01)
    assert replace(room, name="room_8", n_tx=8, n_rx=8) == SCENARIOS["room_8"]
    generator = torch.Generator().manual_seed(0)
    assert {MIXTURES["rooms"].draw_scenario(generator).n_scatterers for _ in range(100)} == {2, 3, 4, 5}


def test_anything_has_few_nodes_and_few_scatterers_in_small_and_large_regions():
    generator = torch.Generator().manual_seed(0)
    drawn = [MIXTURES["anything"].draw_scenario(generator) for _ in range(1200)]
    phases = Counter((scenario.phase_model, round(scenario.phase_std / math.pi, 2)) for scenario in drawn)
    assert set(phases) == {("residual", 0.0), ("residual", 0.2), ("uniform", 0.2)}
    assert all(count == pytest.approx(400, abs=4 * math.sqrt(1200 * 2 / 9)) for count in phases.values())
    wavelengths = [scenario.side * scenario.carrier_frequency / SPEED_OF_LIGHT for scenario in drawn]
    assert 3 < min(wavelengths) < 4
    assert 58 < max(wavelengths) < 61
    assert sum(side < 14 for side in wavelengths) == pytest.approx(600, abs=4 * math.sqrt(300))
    for name, values in {
        "n_tx": range(4, 17),
        "n_rx": range(4, 17),
        "n_scatterers": range(1, 13),
        "n_subcarriers": range(1, 5),
    }.items():
        assert {getattr(scenario, name) for scenario in drawn} == set(values), name
    assert all(scenario.dimension == 2 and 0 <= scenario.snr_db <= 30 for scenario in drawn)


def test_counts_of_scatterers():
    expected = {"paper": 19, "toy": 5, "dense": 31, "volume": 13, "large": 62}
    expected |= {"blind_16": 19, "blind_10": 6, "blind_8": 5, "blind_5": 3, "few_nodes": 19, "room": 3, "room_8": 3}
    expected |= {"blind_10_wide": 6, "blind_8_wide": 5, "blind_5_wide": 3}
    assert {name: SCENARIOS[name].n_scatterers for name in expected} == expected
