"""How far the first-order model reaches, in closed form: distant nodes in all directions of the plane."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import j0, j1

from unfolded_ogamp.operators.off_grid import OffGridOperator
from unfolded_ogamp.physics import NodeArray, propagation_gain


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

    |a^H a'| is J0^2, one J0 per side; the derivative along the offset carries the second term, the other one nothing.
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
