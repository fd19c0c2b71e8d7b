"""Every shipped scenario differs from "paper" only where the design says so."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest

from unfolded_ogamp.imaging.scenes.named import SCENARIOS
from unfolded_ogamp.imaging.scenes.scenario import Scenario

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


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_is_known_by_its_name(name):
    assert SCENARIOS[name].name == name


def test_counts_of_scatterers():
    expected = {"paper": 19, "toy": 5, "dense": 31, "volume": 13, "large": 62}
    expected |= {"blind_16": 19, "blind_10": 6, "blind_8": 5, "blind_5": 3, "few_nodes": 19, "room": 3, "room_8": 3}
    assert {name: SCENARIOS[name].n_scatterers for name in expected} == expected
