"""Columns of the exact dictionary on points: their linear maps, their slopes, and their sums."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from operator_contract import BATCH, N_POSITIONS, N_RX, N_SUBCARRIERS, N_TX, Case, LinearMapContract, random_array
from torch import Tensor

from unfolded_ogamp.operators.points import PointColumns
from unfolded_ogamp.physics import propagation_gain

SCALE = torch.full((BATCH,), 0.7, dtype=torch.float64)
USED = torch.ones(BATCH, N_POSITIONS, dtype=torch.bool)


@dataclass(frozen=True)
class AsOperator:
    """Reflectivities to CSI and back."""

    columns: PointColumns

    def forward(self, coefficients: Tensor) -> Tensor:
        return self.columns.channel(coefficients)

    def adjoint(self, csi: Tensor) -> Tensor:
        return self.columns.matched(csi)[:, :N_POSITIONS]

    def __getitem__(self, index: slice) -> AsOperator:
        return AsOperator(self.columns[index])


def columns_in(dimension: int, used: Tensor = USED) -> PointColumns:
    return PointColumns.at(*random_array(dimension), used, SCALE)


def links(missing: bool) -> Tensor:
    link = torch.ones(BATCH, N_TX, N_RX, 1, dtype=torch.float64)
    if missing:
        link[0, 1, 2] = link[1, 0, 0] = link[1, 3, 0] = 0.0
    return link


class TestContract(LinearMapContract):
    @pytest.fixture(params=[2, 3])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(AsOperator(columns_in(request.param)), (N_POSITIONS,), (N_TX, N_RX, N_SUBCARRIERS))


@pytest.mark.parametrize("dimension", [2, 3])
def test_columns_are_exact_gains_and_their_slopes_amplitudes_too(dimension: int) -> None:
    array, position = random_array(dimension)
    written_out = columns_in(dimension).written_out(links(missing=False)).movedim(1, 3)
    expected = [propagation_gain(array, position)]
    for axis in range(dimension):
        shift = 1e-6 * torch.eye(dimension, dtype=torch.float64)[axis]
        ahead, behind = (propagation_gain(array, position + sign * shift) for sign in (1, -1))
        expected.append((ahead - behind) / 2e-6)
    torch.testing.assert_close(written_out, torch.cat(expected, dim=-1) / 0.7, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("missing", [False, True], ids=["all links", "some"])
@pytest.mark.parametrize("dimension", [2, 3])
def test_sums_are_those_of_the_columns_written_out(dimension: int, missing: bool) -> None:
    columns, link = columns_in(dimension), links(missing)
    matrix = columns.written_out(link).movedim(1, 3)  # [B, n_tx, n_rx, K, C]
    csi = torch.randn(matrix.shape[:-1], dtype=torch.complex128, generator=torch.Generator().manual_seed(1)) * link
    flat = matrix.flatten(1, 3)
    torch.testing.assert_close(columns.gram(link), flat.mH @ flat)
    torch.testing.assert_close(columns.matched(csi), torch.einsum("bmc,bm->bc", flat.conj(), csi.flatten(1)))
    product = csi.conj()[..., None] * matrix
    torch.testing.assert_close(columns.correlations(csi), (product.sum((2, 3)), product.sum((1, 3))))
    power = matrix[..., :N_POSITIONS].abs().square()
    torch.testing.assert_close(columns.node_energies(link), (power.sum((2, 3)), power.sum((1, 3))))
    torch.testing.assert_close(columns.energy(link), power.sum((1, 2, 3)))


def test_an_unused_slot_is_zero_even_on_a_node() -> None:
    array, position = random_array(2)
    position[1, 3] = array.rx[1, 2]
    used = USED.clone()
    used[1, 3] = False
    columns = PointColumns.at(array, position, used, SCALE).written_out(links(missing=False))[1]
    assert bool(columns.isfinite().all())
    assert float(columns[..., [3, 10, 17]].abs().max()) == 0.0
