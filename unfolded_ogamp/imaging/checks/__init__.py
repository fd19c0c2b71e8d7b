"""Checks of a CSI file: units, axes, sign of the exponent and geometry.

The cheap checks come first. Point scatterers are fitted only where no line of sight decides.
"""

from __future__ import annotations

from unfolded_ogamp.files import Fields
from unfolded_ogamp.imaging.checks.conventions import Arrays, Check, Verdict
from unfolded_ogamp.imaging.checks.fit import check_lines_of_sight, check_scatterers
from unfolded_ogamp.imaging.checks.geometry import (
    check_axes,
    check_delays,
    check_frequency,
    check_lengths,
    unit_in_doubt,
)
from unfolded_ogamp.imaging.files.arrays import from_arrays

__all__ = ["Arrays", "Check", "Verdict", "check_arrays"]


def check_arrays(arrays: Arrays) -> list[Check]:
    """All checks of the arrays of a CSI file; if shapes or units fail, no others run.

    Raises:
        ValueError: if these are not the arrays of a CSI file; one line says what was expected and what was found.
    """
    _expect_numbers(Fields(arrays))
    checks = [check_axes(arrays), check_frequency(arrays), check_lengths(arrays)]
    if any(check.verdict == Verdict.FAIL for check in checks):
        return checks
    doubt = unit_in_doubt(arrays)
    direct = check_lines_of_sight(arrays, doubt)
    decided = all(check.verdict in (Verdict.PASS, Verdict.FAIL) for check in direct)
    return [
        *checks,
        check_delays(from_arrays(arrays)),
        *direct,
        *([] if decided else [check_scatterers(arrays, doubt)]),
    ]


def _expect_numbers(fields: Fields) -> None:
    """Raise for arrays that the first checks cannot work on: not numeric, or with other axes."""
    for key, axes in (("tx", ("n_tx", "D")), ("rx", ("n_rx", "D")), ("frequency", ("K",))):
        fields.real(key, axes)
    for key in ("carrier_frequency", "pixel"):
        fields.positive(key)
    shape = fields.required("csi").shape
    fields.expect(len(shape) == 3, "csi", "shape [n_tx, n_rx, K]", list(shape))
