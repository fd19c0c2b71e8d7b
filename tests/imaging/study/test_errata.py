"""The evidence for the errata, against closed forms and plain loops."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study import errata

SCENARIO = Scenario(n_tx=4, n_rx=3, pixels=(6, 6), sparsity=0.1)


@pytest.fixture(scope="module")
def scene():
    return draw_scene(SCENARIO, 2, torch.Generator().manual_seed(0))


def test_derivative_needs_the_parentheses(scene):
    as_printed, as_read = errata.gradient(scene)
    assert as_read < 1e-7
    assert as_printed > 1.0


def test_sign_of_the_correction_doubles_the_error_or_removes_it(scene):
    as_printed, as_read = errata.correction(scene)
    doubled = [
        cmath.phase(cmath.exp(2j * (tx - rx)))
        for tx_phase, rx_phase in zip(scene.tx_phase[..., 0].tolist(), scene.rx_phase[..., 0].tolist(), strict=True)
        for tx in tx_phase
        for rx in rx_phase
    ]
    assert as_printed == pytest.approx(math.sqrt(math.fsum(value**2 for value in doubled) / len(doubled)))
    assert as_read < 1e-12


def test_printed_rmse_lacks_a_root(scene):
    as_printed, as_read = errata.phase_rmse(scene)
    assert as_printed == pytest.approx(as_read / math.sqrt(4 * 3 * 2))


def test_distance_to_the_centre_of_a_square():
    scenes = draw_scene(SCENARIO, 400, torch.Generator().manual_seed(1))
    squared, plain = errata.centre_distance(scenes)
    # of a point uniform in a square of side a: mean a (sqrt(2) + asinh(1)) / 6, mean square a^2 / 6; twice, both ways
    assert plain == pytest.approx(2 * 0.2 * (math.sqrt(2) + math.asinh(1)) / 6, rel=0.02)
    assert squared == pytest.approx(2 * 0.2**2 / 6, rel=0.03)


def test_leakage_is_that_of_a_plain_loop(scene):
    left, path = [], []
    wavelength = 299792458.0 / 1e9
    for b in range(2):
        for i, tx in enumerate(scene.array.tx[b].tolist()):
            for j, rx in enumerate(scene.array.rx[b].tolist()):
                turn = cmath.exp(-1j * float(scene.tx_phase[b, i, 0] - scene.rx_phase[b, j, 0])) - 1
                left.append(abs(turn) * wavelength / (4 * math.pi * math.dist(tx, rx)))
                for point in scene.position[b].tolist():
                    path.append(wavelength / (4 * math.pi * math.dist(tx, point) * math.dist(point, rx)))
    expected = math.hypot(*left) / math.sqrt(len(left)) / (math.hypot(*path) / math.sqrt(len(path)))
    assert errata.leakage(scene)[1] == pytest.approx(expected)


def test_rules_of_the_paper_in_closed_form():
    assert errata.modulus(Scenario()) == pytest.approx((0.3**10, 1.0))
    assert errata.delay_error(Scenario()) == pytest.approx((1e9 * 0.1 / 120e3, 0.1))
    assert errata.stop_rule(Scenario()) == pytest.approx((1e-3 * 25 / 900, 1e-3))
    assert errata.prior_distance() == pytest.approx((5.0, 0.5))
