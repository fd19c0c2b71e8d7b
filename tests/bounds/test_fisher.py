"""From a Fisher matrix to a bound: block inverses, gauges, priors, and a line of sight with one unknown end."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unfolded_ogamp.bounds.fisher import equivalent_information, inverse, with_prior
from unfolded_ogamp.physics import NodeArray, draw_nodes, unit_vectors
from unfolded_ogamp.physics.waves import expanded_wave

NO_GAUGE = torch.zeros(7, 0, dtype=torch.float64)
KEPT = torch.tensor([True, False, True, False, False, True, False])


def information(gauge: Tensor = NO_GAUGE) -> Tensor:
    """A random Fisher matrix of seven unknowns of very different units that does not see the gauge directions."""
    generator = torch.Generator().manual_seed(1)
    jacobian = torch.randn(20, 7, dtype=torch.float64, generator=generator)
    jacobian = jacobian * torch.tensor([1e4, 1.0, 1e3, 1.0, 1e-3, 1e5, 10.0])
    unseen = torch.linalg.qr(gauge).Q
    jacobian = jacobian - jacobian @ unseen @ unseen.mT
    return jacobian.mT @ jacobian


def test_inverse_of_the_equivalent_information_is_a_block_of_the_bound():
    fisher = information()
    bound = inverse(fisher, NO_GAUGE)
    torch.testing.assert_close(bound, torch.linalg.inv(fisher), rtol=1e-9, atol=0)
    expected = bound[KEPT][:, KEPT]
    torch.testing.assert_close(torch.linalg.inv(equivalent_information(fisher, KEPT)), expected, rtol=1e-9, atol=0)


def test_gauge_of_the_nuisance_unknowns_does_not_reduce_the_information():
    """Three of them have a common gauge; fixing any one of the three gives the same information on the rest."""
    gauge = torch.zeros(7, 1, dtype=torch.float64)
    gauge[[1, 3, 6]] = 1.0
    fisher = information(gauge)
    found = equivalent_information(fisher, KEPT)
    for held in (1, 3, 6):
        free = [unknown for unknown in range(7) if unknown != held]
        expected = equivalent_information(fisher[free][:, free], KEPT[free])
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))
    torch.testing.assert_close(torch.linalg.inv(found), inverse(fisher, gauge)[KEPT][:, KEPT], rtol=1e-7, atol=0)


def test_singular_outside_the_gauge_is_unbounded():
    gauge = torch.eye(7, dtype=torch.float64)[:, 3:5]
    assert bool((inverse(information(gauge), gauge[:, :1]) == math.inf).all())
    assert bool(inverse(information(gauge), gauge).isfinite().all())


def test_prior_is_added_and_removes_the_gauge_that_it_determines():
    gauge = torch.eye(7, dtype=torch.float64)[:, 3:5]
    fisher, precision = information(gauge), torch.tensor([0, 0, 0, 4.0, 0, 0, 1e-3], dtype=torch.float64)
    total, left = with_prior(fisher, gauge, precision)
    assert torch.equal(total, fisher + precision.diag())
    assert torch.equal(left, gauge[:, 1:])
    bound = inverse(total, left)
    assert float(bound[3, 3]) == 1 / 4.0
    kept = [0, 1, 2, 3, 5, 6]
    torch.testing.assert_close(bound[kept][:, kept], torch.linalg.inv(total[kept][:, kept]), rtol=1e-9, atol=1e-16)


def test_position_from_a_line_of_sight_with_an_unknown_common_phase():
    """Plane-wave amplitudes: J = sum w kappa^2 u u^T - b b^T / W with b = sum w kappa u and W = sum w."""
    generator = torch.Generator().manual_seed(3)
    nodes = draw_nodes(9, 3, 3.0, 5.0, 1, generator)
    frequency = torch.tensor([[1.0e9, 1.1e9, 1.3e9]], dtype=torch.float64)
    carrier = torch.ones(1, dtype=torch.float64)
    array = NodeArray(nodes, nodes[:, :0], frequency, carrier, loss_exponent=torch.zeros(1, dtype=torch.float64))
    position = torch.tensor([[[0.3, -0.2, 0.1]]], dtype=torch.float64)
    wave = expanded_wave(array, nodes, None, position)[0, ..., 0]
    jacobian = torch.cat([wave[:, :, 1:], 1j * wave[:, :, :1]], dim=2).flatten(0, 1)
    fisher = 2 * (jacobian.mH @ jacobian).real
    kept = torch.tensor([True, True, True, False])

    slope = array.wavenumber[0, :, None, None] * unit_vectors(nodes, position)[0, ..., 0].mT
    slope = slope.flatten(0, 1)
    expected = 2 * (slope.mT @ slope - slope.sum(0)[:, None] * slope.sum(0) / len(slope))
    found = equivalent_information(fisher, kept)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))
