"""All checks of a file in order, the cheap ones first; what a line of sight has told is not asked again."""

from __future__ import annotations

from unfolded_ogamp.fields import Fields
from unfolded_ogamp.imaging.checks.check import Check, Verdict
from unfolded_ogamp.imaging.checks.delays import check_delays
from unfolded_ogamp.imaging.checks.fit import check_fit
from unfolded_ogamp.imaging.checks.free_space import check_lines_of_sight
from unfolded_ogamp.imaging.checks.readings import Arrays
from unfolded_ogamp.imaging.checks.units import check_axes, check_frequency, check_lengths, is_vast
from unfolded_ogamp.imaging.files.arrays import from_arrays


def check_arrays(arrays: Arrays) -> list[Check]:
    """Checks of the arrays of a CSI file; where the numbers themselves are wrong, no others.

    Raises:
        ValueError: if the arrays are none of a CSI file, with one line that says what was expected and what was found.
    """
    _expect_numbers(Fields(arrays))
    checks = [check_axes(arrays), check_frequency(arrays), check_lengths(arrays)]
    if any(check.verdict == Verdict.FAIL for check in checks):
        return checks
    vast = is_vast(arrays)
    direct = check_lines_of_sight(arrays, vast)
    told = all(check.verdict in (Verdict.PASS, Verdict.FAIL) for check in direct)
    return [*checks, check_delays(from_arrays(arrays)), *direct, *([] if told else [check_fit(arrays, vast)])]


def _expect_numbers(fields: Fields) -> None:
    """Refuse what the first checks cannot work on: no numbers, or arrays with other axes."""
    for key, axes in (("tx", ("n_tx", "D")), ("rx", ("n_rx", "D")), ("frequency", ("K",))):
        fields.real(key, axes)
    for key in ("carrier_frequency", "pixel"):
        fields.positive(key)
    shape = fields.required("csi").shape
    fields.expect(len(shape) == 3, "csi", "shape [n_tx, n_rx, K]", list(shape))
