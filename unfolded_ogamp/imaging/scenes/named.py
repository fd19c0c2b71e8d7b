"""The named scenarios and mixtures of imaging; scenarios list their differences from "paper"."""

from __future__ import annotations

import math

from unfolded_ogamp.imaging.scenes.mixture import Component, Mixture
from unfolded_ogamp.imaging.scenes.scenario import Scenario

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
    ]
)
MIXTURES = {"sizes": SIZES}
