"""The greedy estimator with self-calibration, on scenes whose nodes, links or targets are not as assumed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unfolded_ogamp.bounds.self_calibration import calibration_bound
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.perturbations.named import PERTURBATIONS
from unfolded_ogamp.imaging.perturbations.nodes_and_links import Nodes, OutlierLinks
from unfolded_ogamp.imaging.perturbations.signal import Perturbation, Signal, measured
from unfolded_ogamp.imaging.perturbations.targets import Extended
from unfolded_ogamp.imaging.robustness import robustness
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi

SCENARIO = Scenario(n_tx=22, n_rx=22, pixels=(14, 14), sparsity=0.045, phase_std=0.6)
pytestmark = pytest.mark.filterwarnings("ignore::unfolded_ogamp.imaging.assembly.outcome.MismatchWarning")


def perturbed(perturbation: Perturbation, seed: int = 0, scenario: Scenario = SCENARIO) -> tuple[Signal, Csi]:
    generator = torch.Generator().manual_seed(seed)
    scene = draw_scene(scenario, 1, generator)
    return measured(perturbation(scene, generator), scene, generator)


def estimated(signal: Signal, csi: Csi) -> Estimate:
    return GreedyEstimator()(csi, signal.scene.assumed_array, signal.scene.grid)


def off(signal: Signal) -> Tensor:
    """How far the nodes are off their list [n, D], [m]."""
    true, listed = signal.scene.array, signal.scene.assumed_array
    return torch.cat([true.tx[0] - listed.tx[0], true.rx[0] - listed.rx[0]])


@pytest.mark.parametrize("std", [0.005, 0.02])
def test_node_positions_are_estimated_with_the_scatterers(std: float) -> None:
    perturbation = Nodes(position_std=std)
    signal, csi = perturbed(perturbation)
    estimate = estimated(signal, csi)
    found = robustness(signal, estimate, calibration_bound(signal.scene, 0, perturbation.prior))
    assert found.success
    assert found.converged
    assert found.aligned_ratio < 1.5
    assert found.node_ratio < 1.3
    assert found.node_aligned < 0.75 * float(off(signal).square().sum(1).mean().sqrt())
    spread = torch.cat([estimate.nodes.tx_position_std[0], estimate.nodes.rx_position_std[0]])
    assert 0.2 * std < float(spread.mean()) < 1.3 * std
    assert any("off their list" in line for line in estimate.diagnosis[0])


def test_told_errors_of_the_nodes_are_believed() -> None:
    """At a sixth of a wavelength, without a start that takes the nodes as listed."""
    perturbation = Nodes(position_std=0.05)
    signal, csi = perturbed(perturbation)
    told = replace(csi, node_std=torch.full((1, 44), 0.05, dtype=torch.float64))
    found = robustness(signal, estimated(signal, told), calibration_bound(signal.scene, 0, perturbation.prior))
    assert found.success
    assert found.aligned_ratio < 1.5


def test_gains_of_the_nodes_are_estimated() -> None:
    signal, csi = perturbed(Nodes(gain_std=3.0))
    estimate = estimated(signal, csi)
    assert robustness(signal, estimate, None).success
    for gain, true in (
        (estimate.nodes.tx_gain[0], signal.scene.array.tx_gain),
        (estimate.nodes.rx_gain[0], signal.scene.array.rx_gain),
    ):
        assert true is not None
        ratio = (gain / true[0]).log()
        assert float(ratio.std()) < 0.02  # a common factor belongs to the reflectivities
    assert any("gains of nodes differ" in line for line in estimate.diagnosis[0])


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_outlier_links_get_a_low_weight(share: float) -> None:
    signal, csi = perturbed(OutlierLinks(share))
    estimate = estimated(signal, csi)
    found = robustness(signal, estimate, calibration_bound(signal.scene, 0, OutlierLinks(share).prior))
    assert found.success
    assert found.aligned_ratio < 1.5
    weight, good = estimate.nodes.link_weight[0], signal.scene.link[0]
    assert float(weight[good].mean()) > 0.95
    assert float(weight[~good].median()) < 0.1


def test_the_links_of_a_node_are_named() -> None:
    signal, csi = perturbed(Nodes())
    value = csi.value.clone()
    generator = torch.Generator().manual_seed(5)
    turn = 2 * torch.pi * torch.rand(22, 1, generator=generator, dtype=torch.float64)
    value[:, 7] = value[:, 7] * torch.polar(torch.ones_like(turn), turn)
    estimate = estimated(signal, replace(csi, value=value))
    assert robustness(signal, estimate, None).success
    assert any("Tx 7" in line for line in estimate.diagnosis[0])


def test_extended_targets_are_found_at_their_centroids() -> None:
    scenario = replace(SCENARIO, n_tx=26, n_rx=26, sparsity=0.03)
    signal, csi = perturbed(Extended(smallest=0.3, largest=0.4), scenario=scenario)
    estimate = estimated(signal, csi)
    found = robustness(signal, estimate, None)
    assert found.success
    assert found.position_rmse < float(signal.scene.array.wavelength) / 60
    assert any("extended" in line for line in estimate.diagnosis[0])
    extent = estimate.scatterers[0].extent / signal.scene.array.wavelength
    assert 0.02 < float(extent.mean()) < 0.2


def test_in_the_model_nothing_is_reported() -> None:
    signal, csi = perturbed(PERTURBATIONS["none"])
    estimate = estimated(signal, csi)
    assert robustness(signal, estimate, None).success
    assert estimate.diagnosis[0] == ()
    assert torch.equal(estimate.nodes.tx_position[0], signal.scene.array.tx[0])
    assert bool((estimate.nodes.link_weight == 1).all())
