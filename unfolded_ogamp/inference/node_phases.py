"""Delays and phases of the nodes from link measurements, equation (23) of the paper, without phase unwrapping.

The likelihood is a function of phasors. First, phasors propagate from reference nodes over the links. Then alternation
between Tx and Rx uses all links at once, and a few steps of Fisher scoring converge to the maximum.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.physics import laplacian, main_part, phasor, reference_nodes

ALTERNATIONS = 30


def align(correlation: Tensor, tx: Tensor, rx: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Unit phasors of the nodes that maximise Re sum u_i W_ij conj(v_j), the likelihood (24), by alternation.

    Args:
        correlation: W = y h^* [B, n_tx, n_rx, K].
        tx, rx: starting phasors exp(j phi) [B, n_tx, K], [B, n_rx, K].
        iterations: alternations; each raises the likelihood.
    """
    for _ in range(iterations):
        tx = normalized((correlation * rx[:, None].conj()).sum(2)).conj()
        rx = normalized((correlation * tx[:, :, None]).sum(1))
    return tx, rx


def likelihood(correlation: Tensor, tx: Tensor, rx: Tensor) -> Tensor:
    """Re sum u_i W_ij conj(v_j) [B, 1, K] of unit phasors of the nodes, see `align`."""
    return (correlation * tx[:, :, None] * rx[:, None].conj()).real.sum((1, 2))[:, None]


def normalized(value: Tensor) -> Tensor:
    """Phasors of the direction of `value` [B, n, K]; almost zero where it is negligible beside the largest one."""
    power = value.real.square() + value.imag.square()
    largest = power.amax(1, keepdim=True)
    # where all are zero, a floor of one keeps the gradient finite
    floor = 1e-12 * torch.where(largest > 0, largest, 1) + torch.finfo(power.dtype).tiny
    return value * torch.rsqrt(power + floor)


def fit_phases(correlation: Tensor, link: Tensor) -> Tensor:
    """Node phases [B, n_tx + n_rx] [rad], Tx first, of links that measure c exp(-j Phi) with Phi of (6) and c > 0.

    Args:
        correlation: complex [B, n_tx, n_rx].
        link: links to use, bool [B, n_tx, n_rx]; every connected component is fitted separately, and a node without
            links has phase zero.
    """
    masked = (correlation * link)[..., None]
    start = reference_nodes(link)[..., None].to(masked)
    tx, rx = align(masked, *propagate(masked, start), ALTERNATIONS)
    return torch.cat([tx, rx], dim=1)[..., 0].angle()


def propagate(correlation: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Propagate phasors over the links from nodes that have one; a node combines all neighbours reached before it.

    Alternation from this start avoids local maxima where errors add up to a full turn around a cycle of the network.

    Args:
        correlation: complex [B, n_tx, n_rx, 1], zero where there is no link.
        start: phasors of the nodes [B, n_tx + n_rx, 1], Tx first; zero if they are unknown.

    Returns:
        [B, n_tx, 1] and [B, n_rx, 1]; still zero for nodes that no path of links reaches.
    """
    tx, rx = start.split(list(correlation.shape[1:3]), dim=1)
    for _ in range(start.shape[1]):
        before = torch.cat([tx, rx], dim=1) != 0
        tx = torch.where(tx != 0, tx, normalized((correlation * rx[:, None].conj()).sum(2)).conj())
        rx = torch.where(rx != 0, rx, normalized((correlation * tx[:, :, None]).sum(1)))
        # an exported graph depends on no values; further rounds change nothing
        if not torch.compiler.is_exporting() and torch.equal(torch.cat([tx, rx], dim=1) != 0, before):
            break
    return tx, rx


def fit_delays(increment: Tensor, los: Tensor, link: Tensor) -> Tensor:
    """Delays of the nodes [B, n_tx + n_rx], as their phase from one subcarrier to the next [rad], Tx first.

    Nodes in the main component of the line-of-sight graph are fitted to lines of sight only. All others are fitted to
    the earliest scattered arrivals, minus the mean excess delay of such arrivals between nodes of known delay.

    Args:
        increment: phasor by which the earliest arrival turns from one subcarrier to the next, relative to that of the
            free path, complex [B, n_tx, n_rx].
        los: links whose earliest arrival is the line of sight, bool [B, n_tx, n_rx].
        link: all links, bool [B, n_tx, n_rx].
    """
    n_tx = increment.shape[1]
    joined = main_part(los)
    delays = fit_phases(increment, los)
    scattered = link & ~los
    known = scattered & joined[:, :n_tx, None] & joined[:, None, n_tx:]
    excess = (compensated(increment[..., None], 0 * delays, delays)[..., 0] * known).sum((1, 2), keepdim=True).angle()
    direct = torch.where(scattered, increment * torch.polar(torch.ones_like(excess), -excess), increment * los)
    start = torch.polar(joined.to(delays.dtype), delays)[..., None]
    return torch.cat(propagate(direct[..., None], start), dim=1)[..., 0].angle()


def fisher_scoring(
    product: Tensor, weight: Tensor, delays: Tensor, phases: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Delays and phases of all nodes after Fisher scoring steps on the likelihood Re sum_k y h^* exp(j Phi).

    With phases defined at the middle of the band, delays and phases decouple, and the curvature in free space is a
    graph Laplacian for each. Its pseudo-inverse keeps the mean of every connected component.

    Args:
        product: y h^* [B, n_tx, n_rx, K], zero where there is no line of sight.
        weight: |h|^2 of the links with a line of sight [B, n_tx, n_rx], else zero.
        delays: phase from one subcarrier to the next [B, n_tx + n_rx], [rad], Tx first.
        phases: in the middle of the band [B, n_tx + n_rx], [rad].
        steps: number of steps.
    """
    offset = subcarrier_offsets(product)
    covariance = torch.linalg.pinv(laplacian(weight), hermitian=True)
    for _ in range(steps):
        misfit = -compensated(product, delays, phases).imag
        phases = phases + _node_change(covariance, misfit.sum(-1)) / len(offset)
        delays = delays + _node_change(covariance, (misfit * offset).sum(-1)) / offset.square().sum()
    return delays, phases


def compensated(product: Tensor, delays: Tensor, phases: Tensor) -> Tensor:
    """Links [B, n_tx, n_rx, K] without the delays and phases of the nodes, which are as in `fisher_scoring`."""
    phase = delays[..., None] * subcarrier_offsets(product) + phases[..., None]
    tx, rx = phasor(phase).split(product.shape[1:3], dim=1)
    return product * tx[:, :, None] * rx[:, None].conj()


def subcarrier_offsets(product: Tensor) -> Tensor:
    """Numbers of the subcarriers [K] of [B, n_tx, n_rx, K], counted from the middle one, K // 2."""
    n_subcarriers = product.shape[-1]
    return torch.arange(n_subcarriers, device=product.device).to(product.real.dtype) - n_subcarriers // 2


def _node_change(covariance: Tensor, misfit: Tensor) -> Tensor:
    """Change of the nodes [B, nodes] that fits the deviations of the links [B, n_tx, n_rx]."""
    divergence = torch.cat([misfit.sum(2), -misfit.sum(1)], dim=1)
    return (covariance @ divergence[..., None])[..., 0]
