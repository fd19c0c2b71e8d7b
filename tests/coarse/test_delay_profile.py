"""The gate around the earliest arrival: the paths that it passes and blocks, and its position."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from unfolded_ogamp.coarse.delay_profile import GateSettings, earliest_arrival, earliest_tap, power_delay_profile

N_TAPS = 128
SPACING = torch.tensor([120e3], dtype=torch.float64)  # a tap is 65 ns
SETTINGS = GateSettings(span=10 / (N_TAPS * 120e3))


def path(tap: float, gain: complex) -> torch.Tensor:
    """CSI [1, 1, 1, K] of one path."""
    subcarrier = torch.arange(N_TAPS, dtype=torch.float64)
    return (gain * torch.exp(-2j * math.pi * subcarrier * tap / N_TAPS))[None, None, None]


@pytest.mark.parametrize("tap", [0, 40, N_TAPS - 1])
def test_gate_passes_the_first_path_whole_and_nothing_of_the_later_ones(tap):
    """Also if the clock offset wraps the later ones round, and if they are stronger."""
    first = path(tap, 0.7 - 0.4j)
    csi = first + path((tap + 5) % N_TAPS, 1.2j) + path((tap + 9) % N_TAPS, -0.9)
    torch.testing.assert_close(earliest_arrival(csi, SPACING, SETTINGS), first)


def test_path_between_two_taps_keeps_its_phase_in_the_middle_of_the_band():
    """(22): the phase error from a delay between taps grows from the middle of the band outwards."""
    for fraction in (0.2, 0.35, 0.65, 0.8):
        csi = path(30 + fraction, 1.0)
        error = (earliest_arrival(csi, SPACING, SETTINGS) * csi.conj()).angle()[0, 0, 0]
        assert error[N_TAPS // 2].abs() < 1e-9
        assert error[[8, -8]].abs().min() > 0.3
        assert error[8] * error[-8] < 0


def test_earliest_tap_agrees_with_a_plain_search():
    generator = torch.Generator().manual_seed(0)
    profile = torch.empty(2, 5, 6, N_TAPS, dtype=torch.float64).exponential_(generator=generator)
    strong = torch.rand(profile.shape, dtype=torch.float64, generator=generator) < 0.06
    profile = profile * torch.where(strong, 300.0, 1.0)
    found = earliest_tap(profile, SPACING.expand(2), SETTINGS)
    before_the_strongest = 0
    for index in torch.cartesian_prod(torch.arange(2), torch.arange(5), torch.arange(6)).tolist():
        row = profile[tuple(index)].tolist()
        strongest = row.index(max(row))
        noise = sorted(row)[(N_TAPS - 1) // 2] / math.log(2)
        least = max(0.1 * max(row), noise * math.log(10 / 1e-3))
        expected = strongest
        for before in range(11):
            if row[(strongest - before) % N_TAPS] >= least:
                expected = (strongest - before) % N_TAPS
        assert int(found[tuple(index)]) == expected
        before_the_strongest += expected != strongest
    assert before_the_strongest > 10


def test_noise_alone_is_significant_as_rarely_as_asked():
    """The taper correlates neighbouring taps, so that the rate is slightly below its bound."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 100, 100, N_TAPS, 2, dtype=torch.float64, generator=generator)
    csi = torch.view_as_complex(noise) + path(60, 40.0)
    settings = replace(SETTINGS, share=1e-6, false_alarm=0.1)
    early = torch.remainder(60 - earliest_tap(power_delay_profile(csi), SPACING, settings), N_TAPS) > 2
    assert 0.03 < early.double().mean() < 0.1


def test_profile_holds_the_power_of_a_path():
    """At the tap of a path its power is that of the path, and three taps off at most the side lobe of the taper."""
    profile = power_delay_profile(path(40, 0.5j))[0, 0, 0]
    assert profile[40] == pytest.approx(0.25, rel=1e-9)
    assert profile[[*range(37), *range(44, N_TAPS)]].max() < 0.25 * 10**-3.1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"share": 1.0}, r"share must lie in \(0, 1\), got 1\.0"),
        ({"false_alarm": 0.0}, r"false_alarm must lie in \(0, 1\), got 0\.0"),
        ({"span": -1.0}, r"span must not be negative, got -1\.0"),
        ({"width": 0}, "width must be at least 1, got 0"),
    ],
)
def test_settings_refuse(fields, message):
    with pytest.raises(ValueError, match=message):
        GateSettings(**fields)
