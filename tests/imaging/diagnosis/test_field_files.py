"""Files with the troubles of measurements, which this project did not simulate: the examination names each."""

from __future__ import annotations

import pytest
from places import SHARED

from unfolded_ogamp.imaging.diagnosis.examination import examine
from unfolded_ogamp.imaging.diagnosis.finding import Severity
from unfolded_ogamp.imaging.system import read

FIELD = SHARED / "field"
pytestmark = [
    pytest.mark.skipif(not FIELD.exists(), reason="needs the files of the field"),
    pytest.mark.filterwarnings("ignore:the CSI is"),
]

# The finding, and a part of its line.
NAMED = {
    "collinear": ("mirror image", "all nodes lie on a line"),
    "dead_rx_zero": ("dead nodes", "Left out: Rx 2 and Rx 7"),
    "dc_spike": ("null subcarriers", "Left out: subcarrier 4"),
    "null_carriers": ("null subcarriers", "subcarriers 0, 1, 4 and 8"),
    "fft_order": ("order of subcarriers", "in FFT order"),
    "packet_delays": ("clocks are apart", "synchronise=true"),
    "leak_not_told": ("unmarked line of sight", "144 of 144 links"),
    "quarter_turns": ("links that do not fit", "19 of 144 links"),
    "two_rx_swapped_los": ("nodes that do not fit", "Rx 4 and Rx 9 are exchanged"),
    "ring_rx_shifted": ("order of nodes", "the CSI does not decide between them"),
    "ring_rx_shifted_as_advised": ("symmetric array", "Tx and Rx are swapped and the list of Rx starts 1 later"),
    "esp32_im_re": ("order of nodes", "if csi is conjugated"),
    "room_5x5_known_phases": ("few samples", "with more than 4 scatterers"),
}
QUIET = (
    *("base_los", "base_nlos", "clutter_outside", "ring_turned", "ring_sector_8x72"),
    *("room_blind_3_targets", "ultrasound"),
)


@pytest.mark.parametrize("name", NAMED)
def test_trouble_is_named(name):
    file = read(FIELD / f"{name}.npz")
    expected, text = NAMED[name]
    lines = {finding.name: finding.line for finding in examine(file.csi, file.array, file.grid).findings}
    assert text in lines[expected]


@pytest.mark.parametrize("name", QUIET)
def test_files_that_the_examination_cannot_blame_are_not_blamed(name):
    file = read(FIELD / f"{name}.npz")
    findings = examine(file.csi, file.array, file.grid).findings
    assert [finding.line for finding in findings if finding.severity != Severity.LIMIT] == []
