"""The first-order off-grid dictionary: its contract, its derivatives, and the range in which it is accurate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from operator_contract import BATCH, N_POSITIONS, N_RX, N_SUBCARRIERS, N_TX, Case, OperatorContract, random_array
from scipy.special import j0, j1
from torch.utils.flop_counter import FlopCounterMode

from unfolded_ogamp.operators.off_grid import OffGridOperator
from unfolded_ogamp.physics import NodeArray, propagation_gain

ONE = torch.ones(BATCH, dtype=torch.float64)


def case_in(dimension: int) -> Case:
    operator = OffGridOperator.at(*random_array(dimension), ONE)
    return Case(operator, (1 + dimension, N_POSITIONS), (N_TX, N_RX, N_SUBCARRIERS))


class TestContract(OperatorContract):
    @pytest.fixture(params=[2, 3])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return case_in(request.param)


@pytest.mark.parametrize("dimension", [2, 3])
def test_columns_are_gains_and_their_differences_at_amplitudes_that_are_held(dimension: int) -> None:
    """As (12) holds them; the gains themselves are exact."""
    array, position = random_array(dimension)
    case, step = case_in(dimension), 1e-6
    gain = propagation_gain(array, position)
    matrix = case.dense().unflatten(1, gain.shape[1:4]).unflatten(4, (1 + dimension, N_POSITIONS))
    case.assert_close(matrix[..., 0, :], gain)
    for axis in range(dimension):
        shift = step * torch.eye(dimension, dtype=torch.float64)[axis]
        moved = (propagation_gain(array, position + sign * shift) for sign in (1, -1))
        ahead, behind = (gain.abs() * other / other.abs() for other in moved)
        torch.testing.assert_close(matrix[..., 1 + axis, :], (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)


def test_taylor_error_falls_with_the_square_of_the_offset() -> None:
    array, position = random_array(2)
    operator = OffGridOperator.at(array, position, ONE)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(BATCH, 1, N_POSITIONS, dtype=torch.complex128, generator=generator)
    direction = torch.randn(BATCH, 2, N_POSITIONS, dtype=torch.float64, generator=generator)
    amplitude = propagation_gain(array, position).abs()
    errors = []
    for size in (4e-3, 2e-3):
        exact = propagation_gain(array, position + size * direction.mT)
        exact = torch.einsum("bijkn,bn->bijk", amplitude * exact / exact.abs(), x[:, 0])
        linear = operator.forward(torch.cat([x, size * direction * x], 1))
        errors.append(float((exact - linear).abs().square().sum().sqrt()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


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
    case = case_in(dimension)
    x, y = case.draw(case.coefficients, 1), case.draw(case.observations, 2)
    for function, argument in ((case.operator.forward, x), (case.operator.adjoint, y)):
        with FlopCounterMode(display=False) as counter:  # counts a complex product as a real one
            function(argument)
        assert counter.get_total_flops() == 2 * (2 * N_TX * N_RX * N_POSITIONS * N_SUBCARRIERS) * BATCH
    gains = case.operator.gains
    assert gains.tx_factor.numel() + gains.rx_factor.numel() == BATCH * (N_TX + N_RX) * N_SUBCARRIERS * N_POSITIONS


def ring(first: float) -> torch.Tensor:
    """64 nodes on a circle of 1000 km, the first one at an angle [rad]: [1, 64, 2], [m]."""
    angle = first + 2 * math.pi / 64 * torch.arange(64, dtype=torch.float64)
    return 1e6 * torch.stack([angle.cos(), angle.sin()], dim=-1)[None]


@pytest.mark.parametrize(
    ("wavelengths", "spanned", "error"),
    [(1 / 24, 0.998, 0.003), (1 / 12, 0.979, 0.041), (1 / 6, 0.764, 0.57), (1 / 4, 0.336, 2.34), (1 / 3, 0.04, 5.51)],
)
def test_reach_of_the_first_order(wavelengths: float, spanned: float, error: float) -> None:
    """The expansion spans J0^4 + 4 J0^2 J1^2 of the power of a wave at a distance r, J of 2 pi r / lambda.

    |a^H a'| is J0^2, one J0 per side; the derivative along the offset gives the second term, the other one is zero.
    With the true offset for its coefficient, the mean error of the expansion is 2 + z^2 - 2 J0^2 - 4 z J0 J1 at z.
    """
    array = NodeArray(ring(0.0), ring(0.02), torch.tensor([[1e9]]).double(), torch.tensor([1e9]).double())
    centre = torch.zeros(1, 1, 2, dtype=torch.float64)
    offset = torch.tensor([0.6, 0.8], dtype=torch.float64) * wavelengths * array.wavelength
    operator = OffGridOperator.at(array, centre, torch.ones(1, dtype=torch.float64))
    basis = torch.eye(3, dtype=torch.complex128).reshape(3, 1, 3, 1)
    columns = torch.stack([operator.forward(one)[0].flatten() for one in basis], dim=-1)
    wave = propagation_gain(array, centre + offset)[0, ..., 0].flatten()
    columns, wave = columns / wave.norm(), wave / wave.norm()
    z = 2 * math.pi * wavelengths

    beside = (columns[:, 0].conj() @ wave).abs()
    assert float(beside) == pytest.approx(j0(z) ** 2, abs=1e-4)
    seen = (torch.linalg.qr(columns).Q.mH @ wave).norm().square()
    assert float(seen) == pytest.approx(j0(z) ** 4 + 4 * j0(z) ** 2 * j1(z) ** 2, abs=1e-4)
    assert float(seen) == pytest.approx(spanned, abs=2e-3)
    left = (wave - columns @ torch.cat([torch.ones(1), offset]).to(columns)).norm().square()
    assert float(left) == pytest.approx(2 + z**2 - 2 * j0(z) ** 2 - 4 * z * j0(z) * j1(z), abs=1e-3)
    assert float(left) == pytest.approx(error, rel=0.01, abs=5e-4)
