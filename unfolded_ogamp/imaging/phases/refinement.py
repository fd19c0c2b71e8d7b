"""Synchronisation refinement: node phases from CSI and a reference channel, equations (24)-(28)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.inference.node_phases import (
    align,
    fisher_scoring,
    likelihood,
    normalized,
    propagate,
    subcarrier_offsets,
)
from unfolded_ogamp.physics import laplacian, link_phasor, reference_nodes, wrap
from unfolded_ogamp.records import Record
from unfolded_ogamp.settings import Settings, at_least, require, within

PhaseModel = Literal["per_frequency", "common", "with_delay"]
SCORING_STEPS = 2
CLEARLY = 1.001  # factor between the likelihoods of two maxima


@dataclass(frozen=True)
class SynchronisationSettings(Settings):
    """Settings of the refinement.

    Attributes:
        method: "least_squares", unweighted least squares of the node phases on the angle of every link, (25)-(27) to
            the letter; "alignment", the maximum-likelihood fit (24) of the node phases by alternation between Tx and
            Rx, which weighs links by their power and needs no unwrapping.
        alignment_iterations: alternations between Tx and Rx per refinement.
        node_phase: unknowns of a node: "per_frequency", one phase per frequency; "common", one phase for all;
            "with_delay", a phase and a delay, for uniformly spaced frequencies and "alignment" only.
        phase_step: share k_phi of the correction that is applied (28); above 1 it over-relaxes.
        momentum: share of the last move of the phases that is added to the next one. Like over-relaxation, it speeds up
            convergence along shifts of the image with a tilt of all node phases.
    """

    method: Literal["least_squares", "alignment"] = "least_squares"
    alignment_iterations: Annotated[int, at_least(1)] = 10
    node_phase: PhaseModel = "per_frequency"
    phase_step: Annotated[float, within("(0, 2)")] = 0.3
    momentum: Annotated[float, within("[0, 1)")] = 0.0

    def n_phases(self, n_frequencies: int) -> int:
        """Number of phases K' of a node on K frequencies."""
        return 1 if self.node_phase == "common" else n_frequencies

    def __post_init__(self) -> None:
        super().__post_init__()
        aligned = self.node_phase != "with_delay" or self.method == "alignment"
        require(aligned, f'method must be "alignment" for node phases with a delay, got "{self.method}"')


@dataclass(frozen=True)
class NodePhases(Record):
    """Node phases and their last moves, [rad]; K' is K, or 1 if all frequencies share a phase.

    Attributes:
        tx, rx: phases [B, n_tx, K'], [B, n_rx, K'].
        tx_move, rx_move: change in the last refinement, of the same shapes.
    """

    tx: Tensor
    rx: Tensor
    tx_move: Tensor
    rx_move: Tensor

    @classmethod
    def at_rest(cls, tx: Tensor, rx: Tensor) -> NodePhases:
        """Phases [B, n_tx, K'], [B, n_rx, K'] [rad] with zero last moves."""
        return cls(tx, rx, torch.zeros_like(tx), torch.zeros_like(rx))

    @classmethod
    def zero(cls, like: Tensor, n_phases: int) -> NodePhases:
        """Zero phases and moves for links [B, n_tx, n_rx, 1]."""
        tx, rx = like.new_zeros(*like.shape[:2], n_phases), like.new_zeros(like.shape[0], like.shape[2], n_phases)
        return cls.at_rest(tx, rx)


@dataclass(frozen=True)
class RefinementParameters:
    """Tuning parameters of a refinement: numbers in classic estimators, learned scalars in a layer.

    The names and units are those of `SynchronisationSettings`.
    """

    phase_step: Tensor | float
    momentum: Tensor | float

    @classmethod
    def of(cls, settings: SynchronisationSettings) -> RefinementParameters:
        """The parameters of `settings`."""
        return cls(settings.phase_step, settings.momentum)


ALIGNMENT = SynchronisationSettings(method="alignment", alignment_iterations=20, node_phase="common", phase_step=1.0)


def correlation(csi: Tensor, reference: Tensor, link: Tensor) -> Tensor:
    """y h^* of (25) on every link; its angle is minus Phi by (8) (erratum 2).

    Args:
        csi, reference: complex [B, n_tx, n_rx, K].
        link: weight of the links [B, n_tx, n_rx, 1].
    """
    return csi * reference.conj() * link


def project(link_phases: Tensor, link: Tensor) -> tuple[Tensor, Tensor]:
    """Least-squares node phases (26) of link phases, with the mean node phase as gauge.

    The normal equations are the Laplacian of the network's graph. Its null space, the common phase of all nodes, is set
    to zero, which changes no link phase (27).

    Args:
        link_phases: [B, n_tx, n_rx, K], [rad].
        link: 1.0 where there is a link [B, n_tx, n_rx, 1].

    Returns:
        Node phases [B, n_tx, K] and [B, n_rx, K], [rad].
    """
    n_tx = link.shape[1]
    matrix = laplacian(link[..., 0])
    masked = link_phases * link
    divergence = torch.cat([masked.sum(2), -masked.sum(1)], dim=1)
    nodes = torch.linalg.solve(matrix + 1.0 / matrix.shape[-1], divergence)
    return nodes[:, :n_tx], nodes[:, n_tx:]


def step(
    csi: Tensor,
    reference: Tensor,
    link: Tensor,
    phases: NodePhases,
    settings: SynchronisationSettings,
    parameters: RefinementParameters | None = None,
) -> NodePhases:
    """One refinement (25)-(28) of the node phases.

    Args:
        csi: as measured, complex [B, n_tx, n_rx, K].
        reference: channel without phases, complex [B, n_tx, n_rx, K].
        link: weight of the links [B, n_tx, n_rx, 1].
        phases: node phases so far.
        settings: method and unknowns.
        parameters: phase step (erratum 3) and momentum; those of `settings` by default.
    """
    parameters = RefinementParameters.of(settings) if parameters is None else parameters
    product = correlation(csi, reference, link) * link_phasor(phases.tx, phases.rx)
    if settings.node_phase != "per_frequency":
        every, product = product, product.sum(-1, keepdim=True)
    if settings.method == "least_squares":
        d_tx, d_rx = project(-product.angle(), link)
    else:
        d_tx, d_rx = align_phases(product, settings.alignment_iterations)
    if settings.node_phase == "with_delay":
        power = reference.real.square() + reference.imag.square()
        d_tx, d_rx = with_delays(every, (power * link).mean(-1), d_tx, d_rx)
    tx_move = parameters.phase_step * d_tx + parameters.momentum * phases.tx_move
    rx_move = parameters.phase_step * d_rx + parameters.momentum * phases.rx_move
    return NodePhases(wrap(phases.tx + tx_move), wrap(phases.rx + rx_move), tx_move, rx_move)


def observe(problem: Problem, phases: NodePhases) -> Tensor:
    """NLOS observation (29): CSI without node phases and assumed line of sight; complex [B, n_tx, n_rx, K]."""
    return problem.csi * link_phasor(phases.tx, phases.rx) - problem.los


def initial_phases(problem: Problem, node_phase: PhaseModel = "common") -> NodePhases:
    """Initial node phases: a fit to the trusted line of sight, zero without one."""
    fit = replace(ALIGNMENT, node_phase=node_phase)
    zero = NodePhases.zero(problem.link, fit.n_phases(problem.csi.shape[-1]))
    return step(problem.csi, problem.los, problem.trusted, zero, fit)


def align_phases(correlation: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Node phases [B, n_tx, K], [B, n_rx, K] [rad] by `align`, without the mean phase of all nodes.

    The mean phase has no effect on the CSI, but could cause wrapping. Alternation from zero can wind the phases around
    a ring of nodes whose links see only the opposite side; phasors that propagate over the links from one node do not.
    They count where their likelihood is clearly higher; where both end at one maximum, a choice would not be smooth.
    """
    start = reference_nodes((correlation != 0).any(3))[..., None].to(correlation).expand(-1, -1, correlation.shape[3])
    near = (torch.ones_like(correlation[:, :, 0]), torch.ones_like(correlation[:, 0]))
    (tx, rx), (far_tx, far_rx) = (
        align(correlation, *begin, iterations) for begin in (near, propagate(correlation, start))
    )
    higher = likelihood(correlation, far_tx, far_rx) > CLEARLY * likelihood(correlation, tx, rx)
    tx, rx = torch.where(higher, far_tx, tx), torch.where(higher, far_rx, rx)
    common = normalized(tx.sum(1, keepdim=True) + rx.sum(1, keepdim=True)).conj()
    return (tx * common).angle(), (rx * common).angle()


def with_delays(correlation: Tensor, weight: Tensor, tx: Tensor, rx: Tensor) -> tuple[Tensor, Tensor]:
    """Node phases on every frequency [B, n_tx, K], [B, n_rx, K] [rad] of one phase and one delay per node.

    Args:
        correlation: y h^* [B, n_tx, n_rx, K], K uniformly spaced frequencies.
        weight: |h|^2 of the links [B, n_tx, n_rx].
        tx, rx: phases without delays [B, n_tx, 1], [B, n_rx, 1], [rad], the start of the scoring steps.
    """
    phases = torch.cat([tx, rx], dim=1)[..., 0]
    delays, phases = fisher_scoring(correlation, weight, torch.zeros_like(phases), phases, SCORING_STEPS)
    every = delays[..., None] * subcarrier_offsets(correlation) + phases[..., None]
    return every[:, : tx.shape[1]], every[:, tx.shape[1] :]
