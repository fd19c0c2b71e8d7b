"""Checks of a CSI file: units, axes, sign of the exponent and geometry, and what the CSI says before any fit.

The cheap checks come first. Point scatterers are fitted only if neither lines of sight nor a finding decides.
"""

from __future__ import annotations

from dataclasses import replace

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
from unfolded_ogamp.imaging.diagnosis.examination import Examined, examine
from unfolded_ogamp.imaging.diagnosis.finding import Finding, Severity
from unfolded_ogamp.imaging.files.arrays import CsiFile, expect_complex_csi, from_arrays

__all__ = ["Arrays", "Check", "Verdict", "check_arrays"]

VERDICTS = {Severity.DECISIVE: Verdict.FAIL, Severity.DOUBT: Verdict.DOUBT, Severity.LIMIT: Verdict.UNDECIDED}


def check_arrays(arrays: Arrays) -> list[Check]:
    """All checks of the arrays of a CSI file; if shapes or units fail, no others run.

    Raises:
        ValueError: if these are not the arrays of a CSI file, in one line: what was expected, what was found.
    """
    _expect_numbers(Fields(arrays))
    checks = [check_axes(arrays), check_frequency(arrays), check_lengths(arrays)]
    if any(check.verdict == Verdict.FAIL for check in checks):
        return checks
    doubt = unit_in_doubt(arrays)
    try:
        file = from_arrays(arrays)
    except ValueError as error:
        if not doubt:
            raise
        return [*checks, Check("grid", Verdict.FAIL, f"{error}.")]
    examined = examine(file.csi, file.array, file.grid)
    findings = [finding for finding in examined.findings if finding.name != "lengths"]
    checks += [_as_check(finding) for finding in findings]
    if any(_decides(finding) for finding in findings):
        # the conventions of these checks are not the only ones that explain the file
        several = any(finding.name == "order of nodes" and not finding.cure for finding in findings)
        return [*checks, check_delays(file), *([] if several else check_lines_of_sight(arrays, doubt))]
    arrays, file = _without_left_out(arrays, file, examined)
    direct = check_lines_of_sight(arrays, doubt)
    decided = all(check.verdict in (Verdict.PASS, Verdict.FAIL) for check in direct)
    return [
        *checks,
        check_delays(file),
        *direct,
        *([] if decided else [check_scatterers(arrays, doubt)]),
    ]


def _decides(finding: Finding) -> bool:
    """Whether a fit of point scatterers would say nothing after this finding; it compares the two signs itself."""
    return finding.severity == Severity.DECISIVE and finding.name != "sign"


def _as_check(finding: Finding) -> Check:
    """A finding as a check of the same name."""
    sentence = ". ".join(part for part in (finding.evidence, finding.cure) if part)
    return Check(finding.name, VERDICTS[finding.severity], f"{sentence}.")


def _without_left_out(arrays: Arrays, file: CsiFile, examined: Examined) -> tuple[Arrays, CsiFile]:
    """The file without the nodes, links and subcarriers that the examination leaves out."""
    link = examined.csi.link[0].numpy()
    tx, rx, subcarrier = link.any(1), link.any(0), examined.subcarrier.numpy()
    changed = {**arrays, "link": link, "carrier_frequency": arrays.get("carrier_frequency", arrays["frequency"].mean())}
    for key in changed.keys() & {"csi", "los_channel"}:
        changed[key] = changed[key][..., subcarrier]
    for key in changed.keys() & {"csi", "los_channel", "link", "los", "los_trusted"}:
        changed[key] = changed[key][tx][:, rx]
    for side, kept in (("tx", tx), ("rx", rx)):
        for key in changed.keys() & {side, f"{side}_gain"}:
            changed[key] = changed[key][kept]
    changed["frequency"] = arrays["frequency"][subcarrier]
    return changed, replace(file, csi=examined.csi, array=examined.array)


def _expect_numbers(fields: Fields) -> None:
    """Raise if the arrays of the first checks are not numeric or have other axes."""
    for key, axes in (("tx", ("n_tx", "D")), ("rx", ("n_rx", "D")), ("frequency", ("K",))):
        fields.real(key, axes)
    for key in ("carrier_frequency", "pixel", "wave_speed"):
        fields.positive(key)
    expect_complex_csi(fields)
    shape = fields.required("csi").shape
    fields.expect(len(shape) == 3, "csi", "shape [n_tx, n_rx, K]", list(shape))
