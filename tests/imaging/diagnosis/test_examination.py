"""Every trouble is found and named, scenes of the model have none, and what is left out comes back in the estimate."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from faulty_scenes import FAULTS, dead_nodes, drawn, exchanged_nodes, fft_order, null_subcarriers, packet_delays
from hand_made import truth_as_estimate

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.imaging.diagnosis.examination import examine
from unfolded_ogamp.imaging.diagnosis.finding import Finding, Severity, listed, node_names
from unfolded_ogamp.imaging.scenes.named import SCENARIOS
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import link_phase_error, los_channel

SEEDS = range(3)
# Weak ones among a few links or nodes pass unnoticed; see the measured rates in the documentation.
SOMETIMES = {"quarter turns", "random link phases", "unmarked line of sight", "shifted ring", "noisy nodes"}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_trouble_is_found_and_named(fault):
    draw, name = FAULTS[fault]
    found = 0
    for seed in SEEDS:
        faulty = draw(generator(seed))
        examined = examine(faulty.csi, faulty.array, faulty.grid)
        lines = [finding.line for finding in examined.findings if finding.name == name]
        found += any(all(re.search(rf"\b{where}\b", line) for where in faulty.where[:5]) for line in lines)
    assert found >= (1 if fault in SOMETIMES else len(SEEDS))


FEW = {
    "4 x 5 nodes": Scenario(n_tx=4, n_rx=5, pixels=(8, 8), sparsity=0.03),
    "single scatterer": Scenario(n_tx=8, n_rx=8, pixels=(8, 8), sparsity=0.01),
    "noise": Scenario(n_tx=8, n_rx=8, pixels=(8, 8), snr_db=-5.0),
    "single scatterer and lines of sight": Scenario(n_tx=8, n_rx=8, pixels=(8, 8), sparsity=0.01, los=True),
    "band": Scenario(n_tx=8, n_rx=8, pixels=(8, 8), n_subcarriers=16, subcarrier_spacing=2e6, los=True),
    "strengths": Scenario(n_tx=8, n_rx=8, pixels=(8, 8), reflectivity_spread=30.0, phase_model="uniform"),
}


@pytest.mark.parametrize("name", [*(name for name in SCENARIOS if name != "large"), *FEW])
def test_scenes_of_the_model_have_no_trouble(name):
    scenario = {**SCENARIOS, **FEW}[name]
    for seed in (0, 1):
        scene, csi = scenario.draw(1, generator(seed))
        csi = replace(csi, noise_variance=csi.noise_variance if seed else None)
        examined = examine(csi, scene.array, scene.grid)
        assert [finding.line for finding in examined.findings if finding.severity != Severity.LIMIT] == []
        assert torch.equal(examined.csi.value, csi.value)


def test_dead_nodes_and_subcarriers_are_left_out_and_come_back():
    faulty = dead_nodes(generator(0))
    examined = examine(faulty.csi, faulty.array, faulty.grid)
    dead = node_names(
        torch.cat([~examined.csi.link[0].any(1), ~examined.csi.link[0].any(0)]), examined.csi.link.shape[1]
    )
    assert tuple(dead) == faulty.where

    faulty = null_subcarriers(generator(1))
    examined = examine(faulty.csi, faulty.array, faulty.grid)
    count = faulty.csi.value.shape[-1]
    kept = [index for index in range(count) if str(index) not in faulty.where]
    assert examined.subcarrier.tolist() == kept
    assert torch.equal(examined.csi.value, faulty.csi.value[..., kept])
    assert torch.equal(examined.array.frequency, faulty.array.frequency[:, kept])

    scene, _ = drawn(generator(1))
    estimate = truth_as_estimate(scene)
    restored = examined.restored(estimate)
    assert restored.tx_phase.shape == (*scene.tx_phase.shape[:2], count)
    assert torch.equal(restored.rx_phase, scene.rx_phase[..., :1].expand(-1, -1, count))


def test_subcarriers_in_fft_order_are_sorted():
    faulty = fft_order(generator(0))
    examined = examine(faulty.csi, faulty.array, faulty.grid)
    assert torch.equal(examined.csi.value, torch.fft.fftshift(faulty.csi.value, dim=-1))
    assert torch.equal(examined.array.frequency, faulty.array.frequency)


def test_exchanged_nodes_are_put_back():
    faulty = exchanged_nodes(generator(0))
    examined = examine(faulty.csi, faulty.array, faulty.grid)
    moved = torch.cat([examined.array.tx != faulty.array.tx, examined.array.rx != faulty.array.rx], dim=1)[0].any(-1)
    assert tuple(node_names(moved, faulty.array.tx.shape[1])) == faulty.where
    # the line of sight of the inputs is that of free space again
    assert torch.allclose(examined.csi.los_channel, los_channel(examined.array))


def test_synchronised_clocks_are_part_of_the_node_phases():
    """The delays are up to 200 ns; the phases of all subcarriers come back in the estimate."""
    faulty = packet_delays(generator(3))
    alone = examine(faulty.csi, faulty.array, faulty.grid)
    assert alone.array.frequency.shape[1] == 1
    examined = examine(faulty.csi, faulty.array, faulty.grid, synchronised=True)
    assert "clocks are apart" in [finding.name for finding in examined.findings]
    assert examined.array.frequency.shape[1] == 2
    zero = torch.zeros(1, faulty.array.tx.shape[1], 2, dtype=torch.float64)
    scene, _ = drawn(generator(3))
    estimate = replace(
        truth_as_estimate(scene),
        tx_phase=zero,
        rx_phase=torch.zeros(1, faulty.array.rx.shape[1], 2, dtype=torch.float64),
    )
    restored = examined.restored(estimate)
    link_phase = restored.tx_phase[:, :, None] - restored.rx_phase[:, None]
    free = faulty.csi.value * faulty.csi.los_channel.conj()
    error = link_phase_error(link_phase, -free.angle(), faulty.csi.link)
    assert float(error.abs().median()) < 0.5  # scattering turns the links; a wrong delay would spread them evenly


def test_synchronisation_that_is_not_possible_is_refused():
    scene, csi = drawn(generator(0))
    with pytest.raises(InputError, match="synchronise: coarse synchronisation needs"):
        examine(csi, scene.array, scene.grid, synchronised=True)


def test_findings_are_lines():
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed([str(number) for number in range(9)]) == "0, 1, 2, 3, 4 and 4 more"
    assert Finding("name", "evidence", "", Severity.DOUBT).line == "name: evidence"
    assert Finding("name", "evidence", "Cure", Severity.DOUBT).line == "name: evidence. Cure"
