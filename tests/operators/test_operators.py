"""Properties that every operator has, and agreement with the equations in slow dense form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from unfolded_ogamp.operators.multistatic import MultistaticOperator, dictionary_scale
from unfolded_ogamp.operators.off_grid import OffGridOperator
from unfolded_ogamp.physics import NodeArray, draw_nodes, propagation_gain

OPERATORS = [MultistaticOperator, OffGridOperator]
Operator = MultistaticOperator | OffGridOperator


def random_problem(dimension: int, seed: int = 0) -> tuple[NodeArray, Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    array = NodeArray(
        tx=draw_nodes(5, dimension, 3.0, 5.0, 2, generator),
        rx=draw_nodes(4, dimension, 3.0, 5.0, 2, generator),
        frequency=torch.tensor([[1.0e9, 1.1e9, 1.4e9], [0.9e9, 1.0e9, 1.05e9]], dtype=torch.float64),
        carrier_frequency=torch.tensor([1.1e9, 0.95e9], dtype=torch.float64),
    )
    position = 2 * torch.rand(2, 7, dimension, dtype=torch.float64, generator=generator) - 1
    return array, position, generator


def scale_of(array: NodeArray, position: Tensor) -> Tensor:
    return dictionary_scale(array, position, nearest=torch.zeros(2, dtype=torch.float64))


def complex_normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.view_as_complex(torch.randn(*shape, 2, dtype=torch.float64, generator=generator))


def blocks(kind: type[Operator], dimension: int) -> int:
    return 1 if kind is MultistaticOperator else 1 + dimension


def dense(operator: Operator, n_blocks: int, n: int) -> Tensor:
    """The operator's matrix, column by column: [B, n_tx, n_rx, K, n_blocks, n]."""
    columns = torch.eye(n_blocks * n, dtype=torch.complex128).reshape(n_blocks * n, n_blocks, n)
    return torch.stack([operator.forward(c.expand(2, -1, -1)) for c in columns], -1).unflatten(-1, (n_blocks, n))


def dense_reference(array: NodeArray, position: Tensor, scale: Tensor, n_blocks: int) -> Tensor:
    """[A, A_1, ..., A_D] from the exact gains (1) and the gradient (12) with its parentheses."""
    gain = propagation_gain(array, position) / scale[:, None, None, None, None]
    result = [gain]
    for d in range(n_blocks - 1):
        to_tx = position[:, None] - array.tx[:, :, None]
        to_rx = position[:, None] - array.rx[:, :, None]
        u = (to_tx / to_tx.norm(dim=-1, keepdim=True))[..., d][:, :, None, None, :] + (
            to_rx / to_rx.norm(dim=-1, keepdim=True)
        )[..., d][:, None, :, None, :]
        result.append(-1j * array.wavenumber[:, None, None, :, None] * gain * u)
    return torch.stack(result, dim=-2)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", OPERATORS)
def test_forward_and_adjoint_are_adjoint(kind: type[Operator], dimension: int) -> None:
    array, position, generator = random_problem(dimension)
    operator = kind.at(array, position, scale_of(array, position))
    x = complex_normal((2, blocks(kind, dimension), 7), generator)
    y = complex_normal((2, 5, 4, 3), generator)
    forward = (operator.forward(x) * y.conj()).sum()
    adjoint = (x * operator.adjoint(y).conj()).sum()
    assert abs(forward - adjoint) < 1e-10 * abs(forward)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", OPERATORS)
def test_energy_maps_are_transposes(kind: type[Operator], dimension: int) -> None:
    array, position, generator = random_problem(dimension)
    operator = kind.at(array, position, scale_of(array, position))
    v = torch.rand(2, blocks(kind, dimension), 7, dtype=torch.float64, generator=generator)
    w = torch.rand(2, 5, 4, 3, dtype=torch.float64, generator=generator)
    forward = (operator.energy(v) * w).sum()
    adjoint = (v * operator.energy_adjoint(w)).sum()
    assert abs(forward - adjoint) < 1e-10 * abs(forward)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", OPERATORS)
def test_equals_the_dense_dictionary(kind: type[Operator], dimension: int) -> None:
    array, position, generator = random_problem(dimension)
    scale = scale_of(array, position)
    n_blocks = blocks(kind, dimension)
    operator = kind.at(array, position, scale)
    matrix = dense_reference(array, position, scale, n_blocks)
    torch.testing.assert_close(dense(operator, n_blocks, 7), matrix, rtol=1e-12, atol=1e-12 * matrix.abs().max().item())
    v = torch.rand(2, n_blocks, 7, dtype=torch.float64, generator=generator)
    energy = torch.einsum("bijkqn,bqn->bijk", matrix.abs().square(), v)
    torch.testing.assert_close(operator.energy(v).expand_as(energy), energy, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dimension", [2, 3])
def test_derivative_blocks_match_finite_differences_of_exact_propagation(dimension: int) -> None:
    array, position, generator = random_problem(dimension)
    scale = scale_of(array, position)
    operator = OffGridOperator.at(array, position, scale)
    x = complex_normal((2, 1, 7), generator)
    step = 1e-6
    for d in range(dimension):
        shift = torch.zeros(dimension, dtype=torch.float64)
        shift[d] = step
        # the amplitude is held at its value at the expansion point, as (12) does
        amplitude = propagation_gain(array, position).abs()
        gains = [propagation_gain(array, position + sign * shift) for sign in (1, -1)]
        ahead, behind = (amplitude * g / g.abs() / scale[:, None, None, None, None] for g in gains)
        difference = torch.einsum("bijkn,bn->bijk", (ahead - behind) / (2 * step), x[:, 0])
        coefficients = torch.zeros(2, 1 + dimension, 7, dtype=torch.complex128)
        coefficients[:, 1 + d] = x[:, 0]
        torch.testing.assert_close(operator.forward(coefficients), difference, rtol=1e-6, atol=1e-6)


def test_taylor_error_falls_with_the_square_of_the_offset() -> None:
    array, position, generator = random_problem(2)
    scale = torch.ones(2, dtype=torch.float64)
    operator = OffGridOperator.at(array, position, scale)
    x = complex_normal((2, 1, 7), generator)
    direction = torch.randn(2, 2, 7, dtype=torch.float64, generator=generator)
    amplitude = propagation_gain(array, position).abs()
    errors = []
    for size in (4e-3, 2e-3):
        exact = propagation_gain(array, position + size * direction.mT)
        exact = torch.einsum("bijkn,bn->bijk", amplitude * exact / exact.abs(), x[:, 0])
        linear = operator.forward(torch.cat([x, size * direction * x], 1))
        errors.append(float((exact - linear).abs().square().sum().sqrt()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_dictionary_scale_is_the_rms_amplitude() -> None:
    array, position, _ = random_problem(3)
    amplitude = propagation_gain(array, position).abs()
    torch.testing.assert_close(
        scale_of(array, position),
        amplitude.square().mean((1, 2, 3, 4)).sqrt(),
        rtol=1e-12,
        atol=0,
    )


def test_agrees_with_the_golden_dictionary(golden_signal_model: dict[str, np.ndarray]) -> None:
    golden = {key: torch.from_numpy(np.asarray(value)) for key, value in golden_signal_model.items()}
    array = NodeArray(
        tx=golden["tx"][None],
        rx=golden["rx"][None],
        frequency=golden["frequency"][None],
        carrier_frequency=299_792_458.0 / golden["wavelength"][None],
    )
    operator = OffGridOperator.at(array, golden["grid"][None], torch.ones(1, dtype=torch.float64))
    matrix = torch.stack([golden["A"], golden["Ax"], golden["Ay"]], dim=-2)
    identity = torch.eye(27, dtype=torch.complex128).reshape(27, 1, 3, 9)
    for column, coefficients in zip(matrix.flatten(-2).unbind(-1), identity, strict=True):
        torch.testing.assert_close(operator.forward(coefficients)[0], column, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dimension", [2, 3])
def test_products_and_storage_do_not_grow_with_the_dimension(dimension: int) -> None:
    """Two products of n_tx x N by N x n_rx per subcarrier, where a dense map has 1 + D blocks of every link."""
    array, position, generator = random_problem(dimension)
    operator = OffGridOperator.at(array, position, scale_of(array, position))
    x = complex_normal((2, 1 + dimension, 7), generator)
    y = complex_normal((2, 5, 4, 3), generator)
    for function, argument in ((operator.forward, x), (operator.adjoint, y)):
        with FlopCounterMode(display=False) as counter:  # counts a complex product as a real one
            function(argument)
        assert counter.get_total_flops() == 2 * (2 * 5 * 4 * 7 * 3) * 2
    assert operator.gains.tx_factor.numel() + operator.gains.rx_factor.numel() == 2 * (5 + 4) * 3 * 7
