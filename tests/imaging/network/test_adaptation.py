"""Adaptation lowers the residual, changes neither the competition nor the original network, and needs no truth."""

from __future__ import annotations

import pytest
import torch

from unfolded_ogamp.imaging.network.adaptation import AdaptationSettings, AdaptedEstimator, adapted, residual_share
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.scenes.perturbed import MISMATCHES, mismatched_scenes
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi, Scene

SCENARIO = Scenario(n_tx=14, n_rx=14, pixels=(10, 10), sparsity=0.06, phase_std=1.0)
SETTINGS = AdaptationSettings(steps=3, learning_rate=0.03)


@pytest.fixture
def measured() -> tuple[Scene, Csi]:
    """A scene whose node positions differ slightly from the assumed ones."""
    return next(mismatched_scenes(SCENARIO, MISMATCHES["node positions"], 1, seed=1, dtype=torch.float64))


@pytest.fixture
def network() -> UnfoldedOGAMP:
    settings = NetworkSettings(blocks=3, detection_passes=0, joint_layers=1, final_layers=1, starts=1, fallback=False)
    return UnfoldedOGAMP(settings).double().requires_grad_(False)


def test_adaptation_lowers_the_residual(network: UnfoldedOGAMP, measured: tuple[Scene, Csi]) -> None:
    scene, csi = measured
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = adapted(network, csi, scene.assumed_array, scene.grid, SETTINGS)
    posed = network.pose(csi, scene.assumed_array, scene.grid)
    assert found.before == pytest.approx(float(residual_share(network, posed)))
    assert found.after == pytest.approx(float(residual_share(found.network, posed)))
    assert found.after < 0.999 * found.before < 1
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    tuned = found.network.state_dict()
    changed = {name.split(".")[0] for name, value in tuned.items() if not torch.equal(value, before[name])}
    assert changed <= {"blocks", "refinement"}
    assert not any(parameter.requires_grad for parameter in found.network.parameters())


@pytest.mark.filterwarnings("ignore::unfolded_ogamp.imaging.assembly.outcome.MismatchWarning")
def test_adapted_estimator_adapts_to_its_input(network: UnfoldedOGAMP, measured: tuple[Scene, Csi]) -> None:
    """Also on tensors from inference mode, which have no gradients."""
    scene, csi = measured
    with torch.inference_mode():
        inside = csi.map(torch.clone), scene.assumed_array.map(torch.clone), scene.grid.map(torch.clone)
        found = AdaptedEstimator(network, SETTINGS)(*inside)
        expected = adapted(network, csi, scene.assumed_array, scene.grid, SETTINGS).network(*inside)
        plain = network(*inside)
    assert torch.equal(found.prediction, expected.prediction)
    assert not torch.equal(found.prediction, plain.prediction)


def test_several_scenes_are_refused(network: UnfoldedOGAMP, measured: tuple[Scene, Csi]) -> None:
    scene, csi = measured
    two = torch.tensor([0, 0])
    with pytest.raises(ValueError, match="adaptation is to the CSI of one scene, got 2"):
        adapted(network, csi[two], scene.array[two], scene.grid[two], SETTINGS)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("learning_rate", 0.0)])
def test_settings_are_checked(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        AdaptationSettings(**{name: value})
