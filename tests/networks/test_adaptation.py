"""Adaptation lowers what it looks at, leaves the competition and the network itself alone, and needs no truth."""

from __future__ import annotations

import pytest
import torch

from unfolded_ogamp.data import Scenario, draw
from unfolded_ogamp.networks import NetworkSettings, UnfoldedOGAMP
from unfolded_ogamp.networks.adaptation import AdaptationSettings, adapted


def test_adaptation_leaves_less_unexplained() -> None:
    scenario = Scenario(n_tx=14, n_rx=14, pixels=(10, 10), sparsity=0.06, phase_std=1.0)
    scene, csi = draw(scenario, 4, torch.Generator().manual_seed(1))
    network = UnfoldedOGAMP(NetworkSettings(blocks=3, looks=0, joint_layers=1, final_layers=1)).double()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tuned = adapted(network, csi, scene.array, scene.grid, AdaptationSettings(steps=6, learning_rate=0.03))

    def unexplained(one: UnfoldedOGAMP) -> float:
        posed = one.pose(csi, scene.array, scene.grid)
        *_, state = one.states(posed.problem, posed.atlas, posed.phases)
        return float(one.refinement(state, posed.problem, posed.atlas).cost.log().mean())

    assert unexplained(tuned) < unexplained(network) - 1e-3
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    changed = {name.split(".")[0] for name, value in tuned.state_dict().items() if not torch.equal(value, before[name])}
    assert changed <= {"blocks", "refinement"}
    assert not any(parameter.requires_grad for parameter in tuned.parameters())


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("learning_rate", 0.0)])
def test_settings_that_make_no_sense_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        AdaptationSettings(**{name: value})
