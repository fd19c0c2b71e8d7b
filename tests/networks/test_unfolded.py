"""The network is the analytic estimator until it is trained, and one set of weights serves every geometry."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from unfolded_ogamp.data import Scenario, draw
from unfolded_ogamp.estimators import AlternatingEstimator
from unfolded_ogamp.networks import NetworkSettings, UnfoldedOGAMP

SCENARIOS = [
    Scenario(n_tx=8, n_rx=7, pixels=(8, 9), sparsity=0.05),
    Scenario(n_tx=6, n_rx=6, pixels=(4, 4, 4), sparsity=0.05, node_radius=(1.0, 1.5), n_subcarriers=1),
    Scenario(n_tx=7, n_rx=9, pixels=(7, 7), sparsity=0.05, los=True, missing_links=0.2, n_subcarriers=3),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=["plane", "volume", "los"])
def test_untrained_network_equals_the_tuned_estimator(scenario: Scenario) -> None:
    scene, csi = draw(scenario, 3, torch.Generator().manual_seed(1))
    settings = NetworkSettings(blocks=5, layers=2)
    network = UnfoldedOGAMP(settings).double()
    analytic = AlternatingEstimator(replace(settings.analytic, blocks=5, iterations=2, tolerance=0, phase_tolerance=0))
    learned, classic = network(csi, scene.array, scene.grid), analytic(csi, scene.array, scene.grid)
    for name in ("tx_phase", "rx_phase", "pixel_probability", "noise_variance", "prediction", "residual"):
        torch.testing.assert_close(getattr(learned, name), getattr(classic, name), rtol=1e-6, atol=1e-9)
    for one, other in zip(learned.scatterers, classic.scatterers, strict=True):
        torch.testing.assert_close(one.position, other.position, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(one.reflectivity, other.reflectivity, rtol=1e-6, atol=1e-9)


def test_learned_scalars_change_the_estimate_and_receive_gradients() -> None:
    scene, csi = draw(SCENARIOS[0], 2, torch.Generator().manual_seed(2))
    network = UnfoldedOGAMP(NetworkSettings(blocks=4, layers=2)).double()
    prediction = network(csi, scene.array, scene.grid).prediction
    (prediction - csi.value).abs().square().mean().backward()
    reached = {name.split(".")[-1] for name, p in network.named_parameters() if p.grad is not None and p.grad != 0}
    assert reached == {name.split(".")[-1] for name, _ in network.named_parameters()}
    torch.nn.init.constant_(network.blocks[0].imaging[0].noise_share, 1.0)
    changed = network(csi, scene.array, scene.grid).prediction
    assert (changed - prediction).abs().max() > 1e-6 * prediction.abs().max()


@pytest.mark.parametrize("value", [-1e3, 1e3])
def test_learned_scalars_stay_near_their_analytic_meaning(value: float) -> None:
    network = UnfoldedOGAMP(NetworkSettings(blocks=1, layers=1)).double()
    start = {name: float(curve) for name, curve in network.curves().items()}
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, value)
    sign = math.copysign(1, value)
    for name, curve in network.curves().items():
        if name in ("activity", "reflectivity_mean"):
            expected = start[name] + 2 * sign
        elif name == "momentum":
            expected = start[name] + sign
        elif name == "damping":
            expected = 1 / (1 + math.exp(-(math.log(start[name] / (1 - start[name])) + 0.5 * sign)))
        else:
            expected = start[name] * 4**sign
        assert float(curve) == pytest.approx(expected), name


def test_scenes_of_a_batch_do_not_see_one_another() -> None:
    scene, csi = draw(SCENARIOS[0], 3, torch.Generator().manual_seed(3))
    network = UnfoldedOGAMP(NetworkSettings(blocks=3, layers=2)).double()
    together = network(csi, scene.array, scene.grid)
    alone = network(csi[1:2], scene.array[1:2], scene.grid[1:2])
    torch.testing.assert_close(together.prediction[1:2], alone.prediction, rtol=1e-9, atol=1e-18)


def test_csi_of_any_scale_gives_the_same_scatterers() -> None:
    scene, csi = draw(SCENARIOS[0], 2, torch.Generator().manual_seed(4))
    network = UnfoldedOGAMP(NetworkSettings(blocks=4, layers=2)).double()
    louder = replace(csi, value=csi.value * 1e6, noise_variance=csi.noise_variance * 1e12)
    one, other = network(csi, scene.array, scene.grid), network(louder, scene.array, scene.grid)
    for quiet, loud in zip(one.scatterers, other.scatterers, strict=True):
        torch.testing.assert_close(loud.position, quiet.position)
        torch.testing.assert_close(loud.reflectivity, quiet.reflectivity * 1e6)


def test_passes_repeat_the_blocks_after_the_search() -> None:
    settings = NetworkSettings(blocks=6, layers=2, passes=3)
    assert settings.order == [0, 1, 2, 3, 4, 5, 4, 5, 4, 5]
    scene, csi = draw(SCENARIOS[0], 2, torch.Generator().manual_seed(5))
    analytic = replace(settings.analytic, blocks=10, iterations=2, tolerance=0, phase_tolerance=0)
    learned = UnfoldedOGAMP(settings).double()(csi, scene.array, scene.grid)
    classic = AlternatingEstimator(analytic)(csi, scene.array, scene.grid)
    torch.testing.assert_close(learned.prediction, classic.prediction, rtol=1e-6, atol=1e-9)
