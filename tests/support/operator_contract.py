"""The contract of every operator as test classes to inherit; they need a fixture `case`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfolded_ogamp.physics import NodeArray, draw_nodes

BATCH, N_TX, N_RX, N_POSITIONS, N_SUBCARRIERS = 2, 5, 4, 7, 3


@dataclass(frozen=True)
class Case:
    """An operator of a batch of two, the shapes of its coefficients and observations, and its relative precision."""

    operator: Any
    coefficients: tuple[int, ...]
    observations: tuple[int, ...]
    tolerance: float = 1e-12

    def draw(self, shape: tuple[int, ...], seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(BATCH, *shape, dtype=torch.complex128, generator=generator)

    def dense(self) -> Tensor:
        """The matrix, column by column: [B, M, C]."""
        size = torch.Size(self.coefficients).numel()
        unit = torch.eye(size, dtype=torch.complex128).reshape(size, *self.coefficients)
        columns = [self.operator.forward(one.expand(BATCH, *self.coefficients)) for one in unit]
        return torch.stack([column.flatten(1) for column in columns], dim=2)

    def assert_close(self, actual: Tensor, expected: Tensor) -> None:
        """Equal relative to the largest entry."""
        error = float((actual - expected).abs().max())
        assert error <= self.tolerance * float(expected.abs().max())


def random_array(dimension: int, seed: int = 0) -> tuple[NodeArray, Tensor]:
    """Nodes with different antenna gains, and positions between them [B, N, D]."""
    generator = torch.Generator().manual_seed(seed)
    tx, rx = (draw_nodes(count, dimension, 3.0, 5.0, BATCH, generator) for count in (N_TX, N_RX))
    tx_gain, rx_gain = (0.5 + torch.rand(side.shape[:2], dtype=torch.float64, generator=generator) for side in (tx, rx))
    array = NodeArray(
        tx=tx,
        rx=rx,
        frequency=torch.tensor([[1.0e9, 1.1e9, 1.4e9], [0.9e9, 1.0e9, 1.05e9]], dtype=torch.float64),
        carrier_frequency=torch.tensor([1.1e9, 0.95e9], dtype=torch.float64),
        tx_gain=tx_gain,
        rx_gain=rx_gain,
    )
    return array, 2 * torch.rand(BATCH, N_POSITIONS, dimension, dtype=torch.float64, generator=generator) - 1


class LinearMapContract:
    """`forward` and `adjoint` are linear, adjoint to one another, and keep scenes apart."""

    def test_adjoint_is_the_adjoint(self, case: Case) -> None:
        x, y = case.draw(case.coefficients, 1), case.draw(case.observations, 2)
        ahead = (case.operator.forward(x) * y.conj()).flatten(1).sum(1)
        case.assert_close((x * case.operator.adjoint(y).conj()).flatten(1).sum(1), ahead)

    def test_both_are_linear(self, case: Case) -> None:
        for function, shape in ((case.operator.forward, case.coefficients), (case.operator.adjoint, case.observations)):
            one, other = case.draw(shape, 1), case.draw(shape, 2)
            weight = 0.3 - 1.2j
            case.assert_close(function(weight * one + other), weight * function(one) + function(other))

    def test_scenes_do_not_mix(self, case: Case) -> None:
        x, y = case.draw(case.coefficients, 1), case.draw(case.observations, 2)
        alone = case.operator[1:2]
        case.assert_close(alone.forward(x[1:]), case.operator.forward(x)[1:])
        case.assert_close(alone.adjoint(y[1:]), case.operator.adjoint(y)[1:])


class OperatorContract(LinearMapContract):
    """The energies, too: the maps of the matrix squared entry by entry, and of its transpose."""

    def test_energy_is_that_of_the_squared_matrix(self, case: Case) -> None:
        matrix, variance = case.dense(), case.draw(case.coefficients, 3).abs()
        expected = torch.zeros(matrix.shape[:2], dtype=torch.float64)
        for column, value in zip(matrix.unbind(2), variance.flatten(1).unbind(1), strict=True):
            expected += column.abs().square() * value[:, None]
        found = case.operator.energy(variance).expand(BATCH, *case.observations)
        case.assert_close(found.flatten(1), expected)

    def test_energy_adjoint_is_its_transpose(self, case: Case) -> None:
        matrix, weight = case.dense(), case.draw(case.observations, 4).abs()
        expected = torch.zeros(BATCH, matrix.shape[2], dtype=torch.float64)
        for row, value in zip(matrix.unbind(1), weight.flatten(1).unbind(1), strict=True):
            expected += row.abs().square() * value[:, None]
        case.assert_close(case.operator.energy_adjoint(weight).flatten(1), expected)
