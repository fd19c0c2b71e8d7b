"""Node phases, link phases and their gauge."""

from __future__ import annotations

import math

import pytest
import torch

from unfolded_ogamp.physics import (
    draw_residual_phases,
    draw_time_offsets,
    draw_uniform_phases,
    link_phase,
    link_phase_error,
    link_phasor,
    phasor,
    reference_node,
    relative_to_reference,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_phase_error_ignores_the_gauge(generator):
    tx = draw_uniform_phases(5, 3, generator)[..., None].repeat(1, 1, 2)
    rx = draw_uniform_phases(4, 3, generator)[..., None].repeat(1, 1, 2)
    noise = 0.3 * torch.randn(3, 5, 4, 2, dtype=torch.float64, generator=generator)
    link = torch.rand(3, 5, 4, generator=generator) < 0.7
    true = link_phase(tx, rx)
    error = link_phase_error(true + noise, true, link)

    constant = torch.tensor([0.4, -2.0, 3.1], dtype=torch.float64)[:, None, None, None]
    turns = 2 * math.pi * torch.randint(-3, 4, noise.shape, generator=generator).double()
    torch.testing.assert_close(link_phase_error(true + noise + constant + turns, true, link), error)
    assert error[link].abs().max() > 0.1
    assert link_phase_error(true + constant, true, link).abs().max() < 1e-12


def test_phase_error_of_one_wrong_node():
    """With one Tx of five off by e, the constant is the angle of 4 + exp(j e)."""
    true = torch.zeros(1, 5, 3, 1, dtype=torch.float64)
    estimated = true.clone()
    estimated[:, 2] = 1.2
    error = link_phase_error(estimated, true, torch.ones(1, 5, 3, dtype=torch.bool))
    constant = math.atan2(math.sin(1.2), 4 + math.cos(1.2))
    expected = torch.full_like(true, -constant)
    expected[:, 2] = 1.2 - constant
    torch.testing.assert_close(error, expected)


def test_phase_error_counts_measured_links_only(generator):
    true = torch.zeros(1, 4, 4, 2, dtype=torch.float64)
    estimated = 0.2 * torch.randn(1, 4, 4, 2, dtype=torch.float64, generator=generator)
    link = torch.ones(1, 4, 4, dtype=torch.bool)
    link[0, 1, 2] = False
    error = link_phase_error(estimated, true, link)
    estimated[0, 1, 2] = 2.5
    torch.testing.assert_close(link_phase_error(estimated, true, link), error)
    assert torch.all(error[0, 1, 2] == 0)


def test_link_phase_has_the_asked_deviation(generator):
    phases = draw_residual_phases(2, 0.7, 40_000, generator)
    assert (phases[:, 0] - phases[:, 1]).std() == pytest.approx(0.7, rel=4 / math.sqrt(2 * 40_000))


def test_uniform_phases_fill_the_circle(generator):
    phases = draw_uniform_phases(10, 4000, generator).flatten()
    assert phases.abs().max() <= math.pi
    for order in (1, 2, 3):  # the characteristic function of a uniform phase is zero
        assert abs(torch.exp(1j * order * phases).mean()) < 4 / math.sqrt(len(phases))


def test_time_offsets_fill_a_symbol(generator):
    """Moments of the uniform distribution on [0, 1 / spacing)."""
    share = draw_time_offsets(10, 120e3, 4000, generator).flatten() * 120e3
    assert 0 <= share.min() < share.max() < 1
    assert share.mean() == pytest.approx(1 / 2, abs=4 / math.sqrt(12 * len(share)))
    assert share.var() == pytest.approx(1 / 12, rel=0.03)


def test_phases_relative_to_the_reference_keep_every_link_phase():
    generator = torch.Generator().manual_seed(8)
    link = torch.rand(3, 4, 5, generator=generator) < 0.7
    tx, rx = (10 * torch.randn(3, n, 2, dtype=torch.float64, generator=generator) for n in (4, 5))
    new_tx, new_rx = relative_to_reference(tx, rx, link)
    for scene in range(3):
        node = reference_node(link[scene])
        assert torch.cat([new_tx, new_rx], dim=1)[scene, node].abs().max() < 1e-12
    turn = link_phase(new_tx, new_rx) - link_phase(tx, rx)
    torch.testing.assert_close(turn.cos(), torch.ones_like(turn), rtol=0, atol=1e-12)


def test_phasor_of_a_link_is_the_product_of_those_of_its_nodes(generator):
    tx, rx = (draw_uniform_phases(n, 2, generator)[..., None] for n in (3, 4))
    expected = phasor(tx)[:, :, None] * phasor(-rx)[:, None]
    torch.testing.assert_close(link_phasor(tx, rx), expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(phasor(tx), torch.exp(1j * tx), rtol=0, atol=1e-15)
