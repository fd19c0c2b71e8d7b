"""The multistatic dictionary: its contract, and its columns against the exact gains."""

from __future__ import annotations

import pytest
import torch
from operator_contract import BATCH, N_POSITIONS, N_RX, N_SUBCARRIERS, N_TX, Case, OperatorContract, random_array

from unfolded_ogamp.operators.multistatic import MultistaticOperator, dictionary_scale
from unfolded_ogamp.physics import propagation_gain

NEVER = torch.zeros(BATCH, dtype=torch.float64)


class TestContract(OperatorContract):
    @pytest.fixture(params=[2, 3])
    def case(self, request: pytest.FixtureRequest) -> Case:
        array, position = random_array(request.param)
        operator = MultistaticOperator.at(array, position, dictionary_scale(array, position, NEVER))
        return Case(operator, (1, N_POSITIONS), (N_TX, N_RX, N_SUBCARRIERS))


@pytest.mark.parametrize("dimension", [2, 3])
def test_columns_are_the_exact_gains_over_their_scale(dimension: int) -> None:
    array, position = random_array(dimension)
    scale = dictionary_scale(array, position, NEVER)
    operator = MultistaticOperator.at(array, position, scale)
    case = Case(operator, (1, N_POSITIONS), (N_TX, N_RX, N_SUBCARRIERS))
    expected = propagation_gain(array, position) / scale[:, None, None, None, None]
    case.assert_close(case.dense(), expected.flatten(1, 3))


def test_dictionary_scale_is_the_rms_amplitude_and_no_position_beside_a_node_dominates_it() -> None:
    array, position = random_array(3)
    power = propagation_gain(array, position).abs().square().mean((1, 2, 3, 4))
    torch.testing.assert_close(dictionary_scale(array, position, NEVER), power.sqrt(), rtol=1e-12, atol=0)
    beside = torch.cat([position, array.tx[:, :1] + 1e-9], dim=1)
    near, far = (dictionary_scale(array, beside, torch.full_like(NEVER, nearest)) for nearest in (1e-9, 0.5))
    assert bool((near > 1e6 * far).all())
