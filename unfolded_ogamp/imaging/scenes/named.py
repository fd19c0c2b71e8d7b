"""The named scenarios and mixtures of imaging; scenarios list their differences from "paper"."""

from __future__ import annotations

import math
from dataclasses import replace

from unfolded_ogamp.imaging.scenes.mixture import Component, Mixture
from unfolded_ogamp.imaging.scenes.scenario import Scenario

# 5 x 3 m in the middle of a room of 10 x 6 m, at 3.5 GHz, without synchronisation; 4 subcarriers are nearly redundant.
ROOM = Scenario(
    "room",
    n_tx=12,
    n_rx=12,
    pixels=(88, 53),
    pixel=0.057,
    room=(10.0, 6.0),
    carrier_frequency=3.5e9,
    n_subcarriers=4,
    subcarrier_spacing=1e6,
    sparsity=3 / (88 * 53),
    reflectivity_spread=6.0,
    snr_db=20.0,
    phase_model="uniform",
)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("paper"),
        Scenario("toy", n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.05),
        Scenario("toy_synchronised", n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.05, phase_std=0.0),  # Fig. 5(e)-(f)
        Scenario("dense", sparsity=0.05),
        Scenario("coarse", pixel=0.5),
        Scenario("nodes_16", n_tx=16, n_rx=16),
        Scenario("snr_0", snr_db=0.0),
        Scenario("snr_10", snr_db=10.0),
        Scenario("phase_04", phase_std=0.4 * math.pi),
        Scenario("phase_06", phase_std=0.6 * math.pi),
        Scenario("blind", phase_model="uniform"),
        Scenario("blocked", phase_model="blocked", phase_std=0.05 * math.pi, blocked_share=0.3),
        Scenario("sparse_links", missing_links=0.4),
        Scenario("end_to_end", phase_model="clocks", los=True, blocked_los=0.3, bandwidth=100e6),
        Scenario("volume", pixels=(11, 11, 11), node_radius=(1.0, 1.5), sparsity=0.01),
        Scenario("large", n_tx=60, n_rx=60, pixels=(250, 250), sparsity=0.001),
        Scenario("blind_snr_0", snr_db=0.0, phase_model="uniform"),
        Scenario("blind_16", n_tx=16, n_rx=16, phase_model="uniform"),
        # 6, 5 and 3 scatterers in the region of "toy", and in that of "paper"
        Scenario("blind_10", n_tx=10, n_rx=10, pixels=(10, 10), sparsity=0.06, phase_model="uniform"),
        Scenario("blind_8", n_tx=8, n_rx=8, pixels=(10, 10), sparsity=0.05, phase_model="uniform"),
        Scenario("blind_5", n_tx=5, n_rx=5, pixels=(10, 10), sparsity=0.03, phase_model="uniform"),
        Scenario("blind_10_wide", n_tx=10, n_rx=10, sparsity=0.01, phase_model="uniform"),
        Scenario("blind_8_wide", n_tx=8, n_rx=8, sparsity=0.008, phase_model="uniform"),
        Scenario("blind_5_wide", n_tx=5, n_rx=5, sparsity=0.005, phase_model="uniform"),
        Scenario("few_nodes", n_tx=12, n_rx=12),
        ROOM,
        replace(ROOM, name="room_8", n_tx=8, n_rx=8),
    )
}

# Scenes of many sizes and conditions: every batch draws one component, and values from its ranges.
SIZES = Mixture(
    [
        Component(
            Scenario("sizes"),
            weight=2.0,
            ranges={
                "nodes": (14, 30),
                "side": (10, 25),
                "sparsity": (0.015, 0.05),
                "snr_db": (-2, 30),
                "phase_std": (0.1, 1.3),
            },
        ),
        Component(
            Scenario("few_nodes"),
            ranges={
                "nodes": (9, 18),
                "side": (8, 20),
                "sparsity": (0.02, 0.04),
                "snr_db": (10, 30),
                "phase_std": (0.1, 0.8),
            },
        ),
        Component(Scenario("full"), ranges={"snr_db": (-2, 30), "phase_std": (0.3, 1.9)}),
        Component(
            Scenario("spread"),
            ranges={
                "nodes": (16, 30),
                "side": (10, 20),
                "pixel": (0.12, 0.5),
                "sparsity": (0.01, 0.03),
                "snr_db": (10, 35),
                "phase_std": (0.1, 1.3),
                "missing_links": (0.0, 0.4),
                "reflectivity_spread": (0, 30),
            },
        ),
        Component(
            Scenario("blocked", phase_model="blocked"),
            weight=0.5,
            ranges={
                "nodes": (16, 30),
                "side": (10, 20),
                "snr_db": (5, 30),
                "phase_std": (0.1, 0.6),
                "missing_links": (0.0, 0.4),
                "blocked_share": (0.1, 0.4),
            },
        ),
        Component(
            Scenario("unsynchronised", phase_model="uniform"),
            weight=0.5,
            ranges={"nodes": (20, 30), "side": (10, 20), "snr_db": (5, 30)},
        ),
        Component(
            Scenario("space", pixels=(8, 8, 8), node_radius=(1.0, 1.5)),
            weight=0.5,
            ranges={
                "nodes": (20, 30),
                "side": (6, 9),
                "sparsity": (0.01, 0.03),
                "snr_db": (5, 30),
                "phase_std": (0.3, 1.0),
            },
        ),
    ],
    name="sizes",
)

# Rooms with 2 to 5 targets.
ROOMS = Mixture([Component(ROOM, ranges={"scatterers": (2, 5)})], name="rooms")

# Few nodes and few scatterers in regions of 3 to 60 wavelengths, whether the CSI determines them or not; a third of the
# scenes is synchronised, a third has residual phases, and a third uniform ones.
ANYTHING = Mixture(
    [
        Component(
            replace(scenario, reflectivity_spread=6.0),
            ranges={
                "n_tx": (4, 16),
                "n_rx": (4, 16),
                "scatterers": (1, 12),
                "side": side,
                "snr_db": (0.0, 30.0),
                "n_subcarriers": (1, 4),
                "subcarrier_spacing": (100e3, 20e6),
            },
        )
        for scenario in (
            Scenario("synchronised", phase_std=0.0),
            Scenario("residual"),
            Scenario("unsynchronised", phase_model="uniform"),
        )
        for side in ((5, 20), (21, 90))
    ],
    name="anything",
)
MIXTURES = {mixture.name: mixture for mixture in (SIZES, ROOMS, ANYTHING)}
