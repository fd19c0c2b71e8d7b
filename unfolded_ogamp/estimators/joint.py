"""The joint step: positions, reflectivities and node phases move at once, by Levenberg-Marquardt on the likelihood.

Alternating between image and phases crawls, because shifting the whole image is almost the same as tilting all node
phases. The normal equations of both together have no such valley to crawl along, and their solution is the
maximum-likelihood estimate, on the joint Cramer-Rao bound. With every link measured their image part is a sum of
products of Gram matrices of Tx and of Rx; the Jacobian, links times unknowns, is never formed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.estimators.problem import Problem
from unfolded_ogamp.estimators.sources import Sources
from unfolded_ogamp.operators import gain_constant, node_factor, unit_vectors
from unfolded_ogamp.physics import amplitude_rate, distances
from unfolded_ogamp.records import Record, choose

SMALLEST_DAMPING, LARGEST_DAMPING = 1e-7, 1e7
GAUGE_DAMPING = 1e-10  # holds what cannot be observed, and is small beside what can hardly be


@dataclass(frozen=True)
class JointState(Record):
    """State between two joint steps.

    Attributes:
        sources: what is estimated.
        cost: sum of |y - model|^2 over links and subcarriers, in problem units [B].
        damping: Levenberg-Marquardt damping, relative to the diagonal of the normal matrix [B].
        decrease: share of the cost that the last step took away; inf where it was refused [B].
    """

    sources: Sources
    cost: Tensor
    damping: Tensor
    decrease: Tensor


@dataclass(frozen=True)
class JointParameters:
    """What one joint step is tuned by; at the defaults it is plain Levenberg-Marquardt.

    Attributes:
        damping: factor on the damping of the state.
        step: share of the solution by which the unknowns move.
        prior: weight of the prior CN(0, mean |x|^2) of the reflectivities beside the likelihood.
    """

    damping: Tensor | float = 1.0
    step: Tensor | float = 1.0
    prior: Tensor | float = 0.0


@dataclass(frozen=True)
class Uncertainty(Record):
    """Variances per unit of noise variance, all else unknown too.

    Attributes:
        position: covariance of every position [B, S, D, D], [m^2].
        amplitude: of the amplitude of every reflectivity [B, S]; its phase has none without a line of sight, as it
            cannot be told from that of all Tx.
        tx_phase, rx_phase: of the node phases [B, n_tx], [B, n_rx], [rad^2], without the mean of each side, which
            cannot be observed without a line of sight.
    """

    position: Tensor
    amplitude: Tensor
    tx_phase: Tensor
    rx_phase: Tensor


@dataclass(frozen=True)
class Columns(Record):
    """The exact dictionary on the positions of the sources, with its derivatives along the D coordinates.

    A column is T R, and its derivative T' R + T R'; `tx` and `rx` hold T, T' [B, K, n_tx, (1 + D) S] and R, R'
    [B, K, n_rx, (1 + D) S], derivatives after the S columns themselves; `repeats` is 1 + D.
    """

    tx: Tensor
    rx: Tensor
    repeats: int

    @classmethod
    def at(cls, sources: Sources, problem: Problem) -> Columns:
        """The columns of the sources as they are, in problem units."""
        constant = (gain_constant(problem.array) / problem.dictionary_scale)[:, None, None, None]
        used = sources.used[:, None, None, None]
        sides = []
        for nodes, gain in problem.array.sides:
            distance = distances(nodes, sources.position)
            factor = node_factor(problem.array, distance, gain)
            # d/dp exp(-j kappa d) / d = (-j kappa - 1 / d) u times itself
            rate = -1j * problem.array.wavenumber[:, :, None, None] + amplitude_rate(problem.array, distance)[:, None]
            direction = unit_vectors(nodes, sources.position).movedim(1, 2)[:, None]
            side = torch.cat([factor[:, :, :, None], (factor * rate)[:, :, :, None] * direction], dim=3)
            # an unused slot may lie on a node
            sides.append(torch.where(used, side, 0))
        return cls((sides[0] * constant[..., None]).flatten(3), sides[1].flatten(3), 1 + sources.position.shape[2])

    @property
    def n_slots(self) -> int:
        """S."""
        return self.tx.shape[-1] // self.repeats

    def plain(self) -> tuple[Tensor, Tensor]:
        """T and R alone, once per derivative, shaped like `tx` and `rx`."""
        tx, rx = (side[..., : self.n_slots].repeat(1, 1, 1, self.repeats) for side in (self.tx, self.rx))
        return tx, rx

    def once(self, twice: Tensor, dimension: int) -> Tensor:
        """Halve what is no derivative along a dimension: a product rule counts it twice."""
        share = torch.ones(twice.shape[dimension], dtype=self.tx.real.dtype, device=twice.device)
        share[: self.n_slots] = 0.5
        return twice * share.reshape(-1, *[1] * (twice.ndim - 1 - dimension % twice.ndim))

    def channel(self, reflectivity: Tensor) -> Tensor:
        """A x: complex [B, S] -> [B, n_tx, n_rx, K]."""
        tx, rx = self.tx[..., : self.n_slots], self.rx[..., : self.n_slots]
        return ((tx * reflectivity[:, None, None]) @ rx.mT).movedim(1, -1)

    def energy(self, link: Tensor) -> Tensor:
        """|column|^2 over the links [B, n_tx, n_rx, 1] and subcarriers: [B, S]."""
        sides = (side[..., : self.n_slots] for side in (self.tx, self.rx))
        tx, rx = (side.real.square() + side.imag.square() for side in sides)
        return (tx * (link[..., 0][:, None] @ rx)).sum((1, 2))

    def node_energies(self, link: Tensor) -> tuple[Tensor, Tensor]:
        """|column|^2 over the subcarriers and the links of every node: [B, n_tx, S], [B, n_rx, S]."""
        sides = (side[..., : self.n_slots] for side in (self.tx, self.rx))
        tx, rx = (side.real.square() + side.imag.square() for side in sides)
        every = link[..., 0][:, None]
        return (tx * (every @ rx)).sum(1), (rx * (every.mT @ tx)).sum(1)

    def correlations(self, csi: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of conj(csi) times the columns over the links of every node: [B, n_tx, (1 + D) S], [B, n_rx, ...]."""
        conjugate = csi.movedim(-1, 1).conj().resolve_conj()
        plain_tx, plain_rx = self.plain()
        at_tx = self.tx * (conjugate @ plain_rx) + plain_tx * (conjugate @ self.rx)
        at_rx = self.rx * (conjugate.mT @ plain_tx) + plain_rx * (conjugate.mT @ self.tx)
        return self.once(at_tx.sum(1), -1), self.once(at_rx.sum(1), -1)

    def gram(self, link: Tensor) -> Tensor:
        """A^H A over the links [B, n_tx, n_rx, 1]: complex [B, (1 + D) S, (1 + D) S].

        With every link there, each entry is a sum of products of Gram matrices of Tx and of Rx; missing links spoil
        that, and the columns are written out.
        """
        every_link = bool((link > 0).all())
        if every_link and self.repeats == 1:
            return ((self.tx.mH @ self.tx) * (self.rx.mH @ self.rx)).sum(1)
        plain_tx, plain_rx = self.plain()
        if every_link:
            total = (self.tx.mH @ self.tx) * (plain_rx.mH @ plain_rx)
            mixed = (self.tx.mH @ plain_tx) * (plain_rx.mH @ self.rx)
            total = total + mixed + mixed.mH + (plain_tx.mH @ plain_tx) * (self.rx.mH @ self.rx)
            return self.once(self.once(total.sum(1), -1), -2)
        columns = self.written_out(link).flatten(2, 3)
        return (columns.mH @ columns).sum(1)

    def written_out(self, link: Tensor) -> Tensor:
        """The columns on the links [B, n_tx, n_rx, 1]: complex [B, K, n_tx, n_rx, (1 + D) S]."""
        plain_tx, plain_rx = self.plain()
        columns = self.tx[:, :, :, None] * plain_rx[:, :, None] + plain_tx[:, :, :, None] * self.rx[:, :, None]
        return self.once(columns * link[:, None], -1)


def residual(sources: Sources, problem: Problem, columns: Columns) -> tuple[Tensor, Tensor]:
    """Residual y exp(j Phi) - h and modelled channel h, line of sight included, [B, n_tx, n_rx, K] each."""
    channel = (columns.channel(sources.reflectivity) + problem.los + problem.correction) * problem.link
    return problem.csi * sources.rotation - channel, channel


def power(value: Tensor) -> Tensor:
    """Sum of |value|^2 [B] of [B, n_tx, n_rx, K]."""
    return (value.real.square() + value.imag.square()).sum((1, 2, 3))


def init(sources: Sources, problem: Problem) -> JointState:
    """Sources as they are, little damping."""
    cost = power(residual(sources, problem, Columns.at(sources, problem))[0])
    return JointState(sources, cost, torch.full_like(cost, 1e-3), torch.full_like(cost, torch.inf))


def step(
    state: JointState,
    problem: Problem,
    move_phases: Tensor,
    largest_move: float,
    parameters: JointParameters = JointParameters(),
) -> JointState:
    """One Levenberg-Marquardt step of all unknowns; a step that raises the cost is refused and damping grows.

    Args:
        state: where it starts.
        problem: geometry and CSI.
        move_phases: scenes whose node phases move too, bool [B].
        largest_move: largest change of a position, in wavelengths.
        parameters: what the step is tuned by.
    """
    sources = state.sources
    columns = Columns.at(sources, problem)
    difference, channel = residual(sources, problem, columns)
    gradient = log_likelihood_gradient(sources, columns, difference, channel)
    matrix = normal_matrix(sources, problem, columns, channel)
    ridge = parameters.prior * prior_precision(state, problem)
    matrix, gradient = with_prior(matrix, gradient, sources, ridge)
    moving = unknowns_in_play(sources, move_phases)
    change = solve(matrix, gradient, moving, state.damping * parameters.damping) * parameters.step
    moved = move(sources, change, largest_move * problem.array.wavelength)
    cost = power(residual(moved, problem, Columns.at(moved, problem))[0])
    return accept(state, moved, cost, ridge)


def accept(state: JointState, moved: Sources, cost: Tensor, ridge: Tensor | float = 0.0) -> JointState:
    """The moved sources with their cost [B] where they fit better, else the state with more damping.

    Args:
        state: where they come from.
        moved: sources that are proposed.
        cost: of those [B].
        ridge: precision of the prior of the reflectivities, in units of the noise variance [B].
    """
    before, after = (reflectivity_power(sources) for sources in (state.sources, moved))
    better = cost + ridge * after < state.cost + ridge * before
    damping = torch.where(better, state.damping / 5, state.damping * 4).clamp(SMALLEST_DAMPING, LARGEST_DAMPING)
    decrease = torch.where(better, 1 - cost / state.cost, torch.inf)
    return JointState(choose(better, moved, state.sources), torch.where(better, cost, state.cost), damping, decrease)


def jacobian(sources: Sources, problem: Problem, columns: Columns, channel: Tensor) -> Tensor:
    """The Jacobian itself, links and subcarriers flattened: [B, n_tx * n_rx * K, P]."""
    image = (
        columns.written_out(problem.link).movedim(1, 3)[..., _order(sources)] * _slopes(sources)[:, None, None, None]
    )
    return torch.cat([image, turns(channel)], dim=-1).flatten(1, 3)


def turns(channel: Tensor) -> Tensor:
    """Derivatives of the modelled channel [B, n_tx, n_rx, K] by the phases of Tx and of Rx: [B, n_tx, n_rx, K, nodes].

    As `normal_matrix` has them: phases turn the CSI, which is the channel but for its noise.
    """
    tx, rx = (torch.eye(count).to(channel) for count in channel.shape[1:3])
    turned = -1j * channel[..., None]
    return torch.cat([turned * tx[:, None, None], -turned * rx[:, None]], dim=-1)


def reflectivity_power(sources: Sources) -> Tensor:
    """Sum of |x|^2 over the sources [B]."""
    return (sources.reflectivity.real.square() + sources.reflectivity.imag.square()).sum(1)


def prior_precision(state: JointState, problem: Problem) -> Tensor:
    """Noise variance that the cost shows over the mean |x|^2 of the sources [B]; 0 where there are none."""
    samples = problem.link.sum((1, 2, 3)) * problem.csi.shape[-1]
    total, count = reflectivity_power(state.sources), state.sources.used.sum(1)
    return torch.where(total > 0, state.cost / samples * count / torch.where(total > 0, total, 1), 0)


def with_prior(matrix: Tensor, gradient: Tensor, sources: Sources, ridge: Tensor) -> tuple[Tensor, Tensor]:
    """Normal matrix and gradient with a prior of precision `ridge` [B] on the reflectivities."""
    n_slots, dimension = sources.position.shape[1:]
    first, last = n_slots * dimension, n_slots * (dimension + 2)
    pull = torch.cat([sources.reflectivity.real, sources.reflectivity.imag], dim=1) * ridge[:, None]
    on_reflectivity = torch.zeros_like(gradient[0])
    on_reflectivity[first:last] = 1.0
    gradient = gradient - torch.nn.functional.pad(pull, (first, gradient.shape[1] - last))
    return matrix + torch.diag_embed(ridge[:, None] * on_reflectivity), gradient


def unknowns_in_play(sources: Sources, move_phases: Tensor) -> Tensor:
    """Which unknowns move, bool [B, P]: positions, real and imaginary reflectivities, Tx phases, Rx phases."""
    used, dimension = sources.used, sources.position.shape[-1]
    nodes = sources.tx_phase.shape[1] + sources.rx_phase.shape[1]
    return torch.cat([used.repeat(1, dimension + 2), move_phases[:, None].expand(-1, nodes)], dim=1)


def log_likelihood_gradient(sources: Sources, columns: Columns, difference: Tensor, channel: Tensor) -> Tensor:
    """Real part of J^H r [B, P], J the Jacobian of the model with respect to the unknowns; P = S (D + 2) + nodes."""
    correlation = columns.correlations(difference)[0].sum(1).conj()
    image = (_slopes(sources).conj() * correlation[:, _order(sources)]).real
    # d model / d phi_tx = -j h on the links of that Tx and + j h on those of that Rx
    turn = (channel.conj() * difference).imag.sum(-1)
    return torch.cat([image, -turn.sum(2), turn.sum(1)], dim=1)


def normal_matrix(sources: Sources, problem: Problem, columns: Columns, channel: Tensor) -> Tensor:
    """Real part of J^H J [B, P, P], in the order of `log_likelihood_gradient`."""
    order, slopes = _order(sources), _slopes(sources)
    gram = columns.gram(problem.link)[:, order][:, :, order]
    image = (slopes.conj()[:, :, None] * gram * slopes[:, None]).real
    at_tx, at_rx = columns.correlations(channel)
    cross = torch.cat([-at_tx, at_rx], dim=1)[:, :, order] * slopes[:, None]
    link_power = (channel.real.square() + channel.imag.square()).sum(-1)
    tx_block, rx_block = torch.diag_embed(link_power.sum(2)), torch.diag_embed(link_power.sum(1))
    rows = [
        torch.cat([image, cross.imag.mT], dim=2),
        torch.cat(
            [
                cross.imag,
                torch.cat([torch.cat([tx_block, -link_power], 2), torch.cat([-link_power.mT, rx_block], 2)], 1),
            ],
            dim=2,
        ),
    ]
    return torch.cat(rows, dim=1)


def _order(sources: Sources) -> Tensor:
    """Columns that positions, real and imaginary parts of the reflectivities belong to, in this order."""
    n_slots, dimension = sources.position.shape[1:]
    index = torch.arange((1 + dimension) * n_slots, device=sources.position.device)
    return torch.cat([index[n_slots:], index[:n_slots], index[:n_slots]])


def _slopes(sources: Sources) -> Tensor:
    """What those columns are multiplied by in the Jacobian: reflectivity, 1 and j; complex [B, S (D + 2)]."""
    one = torch.ones_like(sources.reflectivity)
    return torch.cat([sources.reflectivity.repeat(1, sources.position.shape[-1]), one, 1j * one], dim=1)


def solve(matrix: Tensor, gradient: Tensor, moving: Tensor, damping: Tensor) -> Tensor:
    """Solution [B, P] of the damped normal equations, zero where an unknown does not move."""
    scaled, scale = _scaled(matrix, moving, damping)
    factor, failed = torch.linalg.cholesky_ex(scaled)
    change = torch.cholesky_solve((scale * gradient)[..., None], factor)[..., 0]
    return torch.where(failed[:, None] > 0, 0, change) * scale


def move(sources: Sources, change: Tensor, limit: Tensor) -> Sources:
    """Sources after a change [B, P] of the unknowns, positions by at most `limit` [B] [m]."""
    n_slots, dimension = sources.position.shape[1:]
    sizes = [n_slots * dimension, n_slots, n_slots, sources.tx_phase.shape[1], sources.rx_phase.shape[1]]
    position, real, imaginary, tx_phase, rx_phase = change.split(sizes, dim=1)
    shift = position.reshape(len(position), dimension, n_slots).mT
    length = shift.norm(dim=-1, keepdim=True)
    shift = shift * (limit[:, None, None] / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(max=1.0)
    return replace(
        sources,
        position=sources.position + shift,
        reflectivity=sources.reflectivity + torch.complex(real, imaginary),
        tx_phase=sources.tx_phase + tx_phase,
        rx_phase=sources.rx_phase + rx_phase,
    )


def uncertainty(sources: Sources, problem: Problem) -> Uncertainty:
    """What the curvature of the likelihood says of every estimate; infinite where it says nothing."""
    columns = Columns.at(sources, problem)
    matrix = normal_matrix(sources, problem, columns, residual(sources, problem, columns)[1])
    moving = unknowns_in_play(sources, torch.ones_like(sources.used.any(1)))
    scaled, scale = _scaled(matrix, moving, torch.full_like(matrix[:, 0, 0], GAUGE_DAMPING))
    # complex noise of variance sigma^2 has the Fisher matrix 2 J^H J / sigma^2
    factor, info = torch.linalg.cholesky_ex(scaled)
    failed = info[:, None, None] > 0
    inverse = torch.cholesky_inverse(torch.where(failed, torch.eye(scaled.shape[1]).to(scaled), factor))
    covariance = inverse * scale[:, :, None] * scale[:, None] / 2
    n_slots, dimension = sources.position.shape[1:]
    first, second, third = n_slots * dimension, n_slots * (dimension + 1), n_slots * (dimension + 2)

    between = covariance[:, :first, :first].unflatten(2, (dimension, n_slots)).unflatten(1, (dimension, n_slots))
    position = between.diagonal(dim1=2, dim2=4).movedim(-1, 1)

    diagonal = covariance.diagonal(dim1=1, dim2=2)
    mixed = covariance[:, first:second, second:third].diagonal(dim1=1, dim2=2)
    direction = sources.reflectivity / sources.reflectivity.abs().clamp(min=torch.finfo(scale.dtype).tiny)
    amplitude = (
        direction.real.square() * diagonal[:, first:second] + direction.imag.square() * diagonal[:, second:third]
    )
    amplitude = amplitude + 2 * direction.real * direction.imag * mixed

    phase = _observable_variance(covariance[:, third:, third:], problem.link[..., 0])
    tx_phase, rx_phase = phase.split([sources.tx_phase.shape[1], sources.rx_phase.shape[1]], dim=1)
    result = Uncertainty(position, amplitude.clamp(min=0), tx_phase, rx_phase)
    return choose(info > 0, result.map(lambda value: torch.full_like(value, torch.inf)), result)


def has_los(problem: Problem) -> Tensor:
    """Scenes with a line of sight in the reference channel; bool [B]."""
    return problem.los.abs().sum((1, 2, 3)) > 0


def _observable_variance(covariance: Tensor, link: Tensor) -> Tensor:
    """Variances [B, n] of node phases of covariance [B, n, n], Tx first, without what cannot be observed.

    That is the mean of each side, nodes weighted by their links [B, n_tx, n_rx]. A node of which the model says nothing
    has an infinite variance.
    """
    n_tx = link.shape[1]
    mean = torch.zeros_like(covariance)
    mean[:, :n_tx, :n_tx], mean[:, n_tx:, n_tx:] = link.sum(2)[:, None], link.sum(1)[:, None]
    rest = torch.eye(covariance.shape[1]).to(mean) - mean / link.sum((1, 2))[:, None, None]
    variance = (rest @ covariance @ rest.mT).diagonal(dim1=1, dim2=2).clamp(min=0)
    return torch.where(covariance.diagonal(dim1=1, dim2=2) == 0, torch.inf, variance)


def _scaled(matrix: Tensor, moving: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """The matrix scaled to a unit diagonal and damped, the identity for what does not move; and the scale [B, P].

    Metres, radians and reflectivities then weigh alike. Damping also holds what cannot be observed: the common phase
    of the nodes, and that of Tx against the reflectivities.
    """
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    moving = moving & (diagonal > 0)
    scale = torch.where(moving, diagonal, torch.ones_like(diagonal)).rsqrt() * moving
    scaled = scale[:, :, None] * matrix * scale[:, None]
    return scaled + torch.diag_embed(damping[:, None] + (~moving).to(damping)), scale
