"""Delays and phases of nodes from links, on networks of any shape."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from unfolded_ogamp.inference.node_phases import (
    align,
    compensated,
    fisher_scoring,
    fit_delays,
    fit_phases,
    subcarrier_offsets,
)
from unfolded_ogamp.physics import draw_uniform_phases, phasor


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def chain(n: int) -> Tensor:
    """tx 0 - rx 0 - tx 1 - ... - rx n-1."""
    return (torch.eye(n) + torch.eye(n).roll(1, 0).tril()).bool()[None]


def ring(n: int) -> Tensor:
    return (torch.eye(n) + torch.eye(n).roll(1, 0)).bool()[None]


def dense(n: int) -> Tensor:
    return torch.rand(1, n, n, generator=torch.Generator().manual_seed(3)) < 0.3


def links_of(nodes: Tensor, n_tx: int) -> Tensor:
    """Phase [B, n_tx, n_rx] of every link."""
    return nodes[:, :n_tx, None] - nodes[:, None, n_tx:]


def wrapped(phase: Tensor) -> Tensor:
    return phasor(phase).angle()


@pytest.mark.parametrize("network", [chain, ring, dense])
def test_uniform_phases_are_found_on_any_connected_network(network, generator):
    link = network(12)
    true = draw_uniform_phases(24, 1, generator)
    amplitude = 0.1 + torch.rand(link.shape, dtype=torch.float64, generator=generator)
    found = fit_phases(amplitude * phasor(-links_of(true, 12)), link)
    # of all links, not of those that measured alone
    assert wrapped(links_of(found, 12) - links_of(true, 12)).abs().max() < 1e-8


def test_phases_do_not_wind_around_a_ring(generator):
    """On a ring whose phases turn round once, plain alternation keeps the turn; propagation starts without it."""
    link, n = ring(16), 16
    link_phases = 0.05 * torch.randn(1, n, n, dtype=torch.float64, generator=generator)
    correlation = phasor(-link_phases) * link
    around = 2 * math.pi / (2 * n) * torch.arange(2 * n, dtype=torch.float64)
    wound = phasor(around).reshape(1, n, 2, 1).unbind(2)
    stuck = align(correlation[..., None], wound[0], wound[1], 30)
    mismatch = wrapped(stuck[0][..., 0].angle()[:, :, None] - stuck[1][..., 0].angle()[:, None] - link_phases)[link]
    assert mismatch.abs().mean() > 0.15
    found = fit_phases(correlation, link)
    assert wrapped(links_of(found, n) - link_phases)[link].abs().max() < 0.15


def test_every_part_is_fitted_by_itself_and_nodes_without_links_stay(generator):
    link = torch.zeros(1, 5, 4, dtype=torch.bool)
    link[:, :2, :2] = link[:, 2:4, 2] = True  # two parts; tx 4 and rx 3 have none
    true = draw_uniform_phases(9, 1, generator)
    found = fit_phases(phasor(-links_of(true, 5)), link)
    error = wrapped(found - true)[0]
    for part in ([0, 1, 5, 6], [2, 3, 7]):
        assert wrapped(error[part] - error[part[0]]).abs().max() < 1e-8
    assert found[0, [4, 8]].tolist() == [0.0, 0.0]


def test_scoring_ends_where_the_likelihood_is_stationary(generator):
    link = dense(8)
    nodes = torch.randn(2, 1, 16, dtype=torch.float64, generator=generator)
    delays, phases = 0.02 * nodes[0], nodes[1]
    channel = torch.randn(1, 8, 8, dtype=torch.complex128, generator=generator) * link
    noise = 0.1 * torch.randn(1, 8, 8, 41, dtype=torch.complex128, generator=generator)
    free = compensated(channel[..., None].abs().square().expand(-1, -1, -1, 41).to(channel), -delays, -phases)
    product = free + noise * channel[..., None].conj()
    found = fisher_scoring(product, channel.abs().square(), 0.9 * delays, phases + 0.1, steps=40)
    found = tuple(value.clone().requires_grad_() for value in found)
    likelihood = compensated(product, *found).real.sum()
    for value, scale in zip(torch.autograd.grad(likelihood, found), (41 * 20, 41), strict=True):
        assert value.abs().max() < 1e-9 * scale
    assert likelihood > compensated(product, delays, phases).real.sum()


def test_middle_of_the_band_is_where_the_delay_turns_nothing():
    product = torch.ones(1, 2, 3, 7, dtype=torch.complex128)
    assert subcarrier_offsets(product).tolist() == [-3, -2, -1, 0, 1, 2, 3]
    delays = torch.tensor([[0.1, 0.2, 0.0, -0.3, 0.4]], dtype=torch.float64)
    phases = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.5]], dtype=torch.float64)
    angle = compensated(product, delays, phases).angle()
    for tx in range(2):
        for rx in range(3):
            for subcarrier in range(7):
                delay, phase = (float(nodes[0, tx] - nodes[0, 2 + rx]) for nodes in (delays, phases))
                expected = math.remainder(delay * (subcarrier - 3) + phase, 2 * math.pi)
                assert float(angle[0, tx, rx, subcarrier]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("blocked", [[3], [3, 8, 9], range(12)], ids=["one", "three", "all"])
def test_delays_without_a_line_of_sight_come_from_scattered_arrivals(blocked, generator):
    """The fit is exact if all scattered arrivals have the same excess delay."""
    true = draw_uniform_phases(12, 1, generator)
    link = torch.ones(1, 6, 6, dtype=torch.bool)
    los = torch.rand(1, 6, 6, generator=generator) < 0.8
    for node in blocked:
        los[:, node if node < 6 else slice(None), node - 6 if node >= 6 else slice(None)] = False
    excess = 0.4
    increment = phasor(-links_of(true, 6) - excess * (~los))
    error = wrapped(links_of(fit_delays(increment, los, link), 6) - links_of(true, 6))
    # without any line of sight, the excess between Tx and Rx is not observable
    torch.testing.assert_close(error, torch.full_like(error, excess if len(blocked) == 12 else 0.0))
