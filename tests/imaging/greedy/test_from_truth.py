"""The fit from the truth: it keeps the scatterers of its model, and finds their reflectivities itself."""

from __future__ import annotations

from dataclasses import replace

import torch

from unfolded_ogamp.imaging.greedy.estimator import posed
from unfolded_ogamp.imaging.greedy.from_truth import fitted, from_truth, true_nodes
from unfolded_ogamp.imaging.perturbations.nodes_and_links import Nodes
from unfolded_ogamp.imaging.perturbations.signal import measured
from unfolded_ogamp.imaging.robustness import robustness
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources

SCENARIO = Scenario(n_tx=16, n_rx=15, pixels=(8, 8), sparsity=0.09, snr_db=40.0)


def test_a_fit_from_the_truth_keeps_it() -> None:
    """Nodes are 10 mm off their list, with gains of 1 dB; the start has all of that."""
    scene = draw_scene(SCENARIO, 1, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    signal, csi = measured(Nodes(position_std=0.01, gain_std=1.0)(scene, generator), scene, generator)
    found = robustness(signal, from_truth(csi, signal.scene), None)
    assert found.success
    assert found.position_aligned < 2e-3
    assert found.node_aligned < 0.5 * 0.01 * 2**0.5


def test_the_reflectivities_of_the_start_are_those_of_the_scene() -> None:
    scene = draw_scene(replace(SCENARIO, snr_db=80.0), 1, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    signal, csi = measured(Nodes(position_std=0.01, gain_std=1.0)(scene, generator), scene, generator)
    _, problem = posed(csi, signal.scene.assumed_array, scene.grid)
    sources = Sources.of_scene(signal.scene, problem)
    sources = replace(sources, nodes=true_nodes(signal.scene, problem))
    torch.testing.assert_close(fitted(sources, problem), sources.reflectivity, rtol=1e-3, atol=1e-3)
