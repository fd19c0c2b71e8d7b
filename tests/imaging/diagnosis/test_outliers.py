"""Outliers are judged beside the other nodes: by power, by the noise, and by phases where amplitudes fit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from faulty_scenes import drawn, quarter_turns

from unfolded_ogamp.imaging.diagnosis.finding import Severity
from unfolded_ogamp.imaging.diagnosis.links import turned_links
from unfolded_ogamp.imaging.diagnosis.outliers import (
    Kept,
    dead_parts,
    outlying_links,
    outlying_power,
    polished,
    quantised,
)


def test_median_polish_removes_the_effects_of_nodes_and_keeps_an_outlier():
    generator = torch.Generator().manual_seed(0)
    tx, rx = (10 * torch.randn(count, dtype=torch.float64, generator=generator) for count in (7, 9))
    level = tx[:, None] + rx
    level[2, 3] += 30
    link = torch.ones(7, 9, dtype=torch.bool)
    link[5, 6] = False
    level[5, 6] = math.nan
    remainder, _, _ = polished(level, link)
    assert float(remainder[2, 3]) == pytest.approx(30)
    assert remainder[5, 6] == -math.inf
    others = link.clone()
    others[2, 3] = False
    assert float(remainder[others].abs().max()) < 1e-9


def test_a_node_of_noise_is_found_by_the_noise_variance_alone():
    """Its level is within the fading of nodes."""
    scene, csi = drawn(torch.Generator().manual_seed(4), n_tx=10, n_rx=12, snr_db=17.0)
    noise = torch.randn(10, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value = csi.value.clone()
    value[0, :, 5] = torch.view_as_complex(noise) * (scene.noise_variance / 2).sqrt()
    noisy = replace(csi, value=value)
    findings, kept = outlying_power(noisy, scene.array, scene.grid, Kept.all_of(noisy))
    assert "Rx 5" in findings[0].evidence
    assert not kept.link[:, 5].any()
    unknown = replace(noisy, noise_variance=None)
    assert outlying_power(unknown, scene.array, scene.grid, Kept.all_of(unknown))[0] == []


def test_links_of_another_amplitude_are_not_turned_links():
    scene, csi = drawn(torch.Generator().manual_seed(1), los=True, n_tx=12, n_rx=12, sparsity=3 / 49, pixels=(7, 7))
    generator = torch.Generator().manual_seed(0)
    turned = torch.rand(12, 12, generator=generator) < 0.15
    quarter = torch.where(turned[..., None], 1j, 1.0)
    findings, left = turned_links(replace(csi, value=csi.value * quarter), scene.array, scene.grid)
    named = csi.link[0] & ~left.link[0]
    assert findings[0].severity == Severity.DOUBT
    assert bool((named & ~turned).sum() == 0)
    assert int(named.sum()) > 0.6 * int(turned.sum())
    stronger = torch.where(turned[..., None], 30j, 1.0)
    assert turned_links(replace(csi, value=csi.value * stronger), scene.array, scene.grid)[0] == []


@pytest.mark.parametrize("seed", range(3))
def test_hardly_a_right_link_is_called_turned(seed):
    faulty = quarter_turns(torch.Generator().manual_seed(seed))
    _, left = turned_links(faulty.csi, faulty.array, faulty.grid)
    named = (faulty.csi.link & ~left.link)[0].nonzero().tolist()
    assert all(f"Tx {i} to Rx {j}" in faulty.where for i, j in named)


def test_a_single_strong_link_is_left_out():
    scene, csi = drawn(torch.Generator().manual_seed(2))
    value = csi.value.clone()
    value[0, 3, 4] *= 200
    findings, left = outlying_links(replace(csi, value=value), scene.array)
    assert "Tx 3 to Rx 4" in findings[0].evidence
    assert (csi.link & ~left.link).nonzero().tolist() == [[0, 3, 4]]
    assert not left.value[0, 3, 4].any()
    assert outlying_links(csi, scene.array)[0] == []


def test_zeros_of_integers_are_values_and_zeros_of_reals_are_none():
    _, csi = drawn(torch.Generator().manual_seed(3), snr_db=20.0)
    value = csi.value.clone()
    value[0, 1, 2] = 0
    zero = replace(csi, value=value)
    findings, kept = dead_parts(zero, Kept.all_of(zero))
    assert [finding.name for finding in findings] == ["zero links"]
    assert (csi.link[0] & ~kept.link).nonzero().tolist() == [[1, 2]]
    step = csi.value.abs().max() / 100
    rounded = torch.view_as_complex((torch.view_as_real(value) / step).round())
    assert quantised(rounded[0].flatten(0, 1))
    assert not quantised(value[0].flatten(0, 1))
    integers = replace(csi, value=rounded)
    assert dead_parts(integers, Kept.all_of(integers))[0] == []


def test_zeros_on_most_links_are_not_left_out():
    """As where every transmitter has subcarriers of its own."""
    _, csi = drawn(torch.Generator().manual_seed(0), n_tx=8, n_rx=8, n_subcarriers=8)
    own = torch.eye(8, dtype=torch.bool)[:, None]
    interleaved = replace(csi, value=csi.value * own)
    (finding,), kept = dead_parts(interleaved, Kept.all_of(interleaved))
    assert finding.severity == Severity.DECISIVE
    assert torch.equal(kept.link, csi.link[0])
