"""The examination of a CSI file before any fit: its findings, and the inputs of an estimator that respect them.

The order matters. Values that are no measurement go first, then the band, whose order and clocks decide whether phases
of different subcarriers can be compared, then lines of sight, then what the rest can support.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.coarse.clocks import CoarseSettings, NodeClocks, synchronise
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.imaging.diagnosis.band import examine_band
from unfolded_ogamp.imaging.diagnosis.finding import Finding, Severity
from unfolded_ogamp.imaging.diagnosis.geometry import (
    few_samples,
    joined_part,
    mirror_image,
    symmetric_array,
)
from unfolded_ogamp.imaging.diagnosis.line_of_sight import hidden_line_of_sight, other_order
from unfolded_ogamp.imaging.diagnosis.links import turned_links
from unfolded_ogamp.imaging.diagnosis.nodes import changed_nodes
from unfolded_ogamp.imaging.diagnosis.outliers import Kept, dead_parts, outlying_links, outlying_power, without_links
from unfolded_ogamp.imaging.diagnosis.units import unit_findings
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.evidence.noise import estimate_noise
from unfolded_ogamp.imaging.problem import pose
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, flat_normal, link_phasor, wrap

NOISE_RATIO = 4.0  # between a given noise variance and what the CSI shows; an estimate rarely errs by a factor of two
SYNCHRONISED = 2  # subcarriers that are kept from the middle of a band after coarse synchronisation


@dataclass(frozen=True)
class Examined:
    """The result of an examination; a batch of one.

    Attributes:
        csi, array, grid: inputs of an estimator, without what the findings leave out.
        findings: in the order of the examination.
        clocks: of a band that was synchronised, or None.
        frequency: all subcarriers of the file [1, K], [Hz].
        subcarrier: those of the inputs, as their numbers in the file [K'].
    """

    csi: Csi
    array: NodeArray
    grid: PixelGrid
    findings: tuple[Finding, ...]
    clocks: NodeClocks | None
    frequency: Tensor
    subcarrier: Tensor

    @property
    def lines(self) -> list[str]:
        """The findings, one line each."""
        return [finding.line for finding in self.findings]

    def restored(self, estimate: Estimate) -> Estimate:
        """The estimate with node phases on all subcarriers of the file, and with the findings in its diagnosis.

        The subcarriers share the node phases up to known clocks. `prediction` keeps the subcarriers of the estimator.
        """
        count = self.frequency.shape[1]
        if self.clocks is None and len(self.subcarrier) == count:
            return self.explained(estimate)
        tx, rx = (phase[..., :1].expand(-1, -1, count) for phase in (estimate.tx_phase, estimate.rx_phase))
        if self.clocks is not None:
            at = self.clocks.phases_at(self.frequency)
            tx, rx = (wrap(phase + clock) for phase, clock in zip((tx, rx), at, strict=True))
        return replace(self.explained(estimate), tx_phase=tx, rx_phase=rx)

    def explained(self, estimate: Estimate) -> Estimate:
        """The estimate with the findings in its diagnosis."""
        return replace(estimate, diagnosis=[(*self.lines, *estimate.diagnosis[0])])


def examine(csi: Csi, array: NodeArray, grid: PixelGrid, synchronised: bool = False) -> Examined:
    """Examine a batch of one; `synchronised` asks for coarse synchronisation over the lines of sight.

    Raises:
        InputError: if coarse synchronisation is asked for and not possible.
    """
    frequency = array.frequency
    findings, kept = dead_parts(csi, Kept.all_of(csi))
    found, kept = outlying_power(csi, array, grid, kept)
    in_band, band = examine_band(csi, array, grid, kept)
    findings += [*found, *in_band]
    csi, array = shortened(csi, array, band.kept.link, band.kept.subcarrier, band.order)

    numbers, clocks = band.kept.subcarrier.nonzero()[:, 0], None
    if synchronised:
        csi, array, clocks = coarsely_synchronised(csi, array, grid)
        numbers = numbers[middle_of_band(len(numbers))]
        findings = [done(finding) if finding.name == "clocks are apart" else finding for finding in findings]
    elif band.clocks_apart:  # on one subcarrier, a delay is a node phase
        middle = len(numbers) // 2
        one = torch.arange(len(numbers), device=numbers.device) == middle
        csi, array = shortened(csi, array, csi.link[0], one, None)
        numbers = numbers[middle : middle + 1]
        csi = replace(csi, phases_known=None, phase_std=None)  # the delays turn them
    if all(finding.severity != Severity.DECISIVE or finding.cure for finding in findings):
        found, csi, array = examine_phases(csi, array, grid)
        findings += found
    if csi.phases_known is None and csi.phase_std is None:
        parted, separate = joined_part(csi.link[0])
        csi = without_links(csi, separate)
        findings += parted
    findings = [*unit_findings(array), *findings]
    findings += [*mirror_image(array, grid), *symmetric_array(array), *few_samples(csi, array, grid)]
    findings += noise_disagrees(csi, array, grid)
    return Examined(csi, array, grid, tuple(findings), clocks, frequency, numbers)


def examine_phases(csi: Csi, array: NodeArray, grid: PixelGrid) -> tuple[list[Finding], Csi, NodeArray]:
    """Findings on lines of sight, links and nodes, and the inputs of a batch of one that respect them."""
    findings: list[Finding] = []
    if not bool(csi.los.any()):
        findings, csi = outlying_links(csi, array)
        # on a line, direct paths and echoes turn the phases alike
        hidden, csi = hidden_line_of_sight(csi, array) if flat_normal(array) is None else ([], csi)
        return [*findings, *hidden], csi, array
    if ordered := other_order(csi, array):
        return ordered, csi, array
    changed, csi, array = changed_nodes(csi, array)
    turned, csi = turned_links(csi, array, grid)
    strong, csi = outlying_links(csi, array)
    return [*changed, *turned, *strong], csi, array


def noise_disagrees(csi: Csi, array: NodeArray, grid: PixelGrid) -> list[Finding]:
    """The finding that the given noise variance is far from what the CSI shows; a batch of one."""
    if csi.noise_variance is None:
        return []
    problem = pose(csi, array, grid, None)
    shown = estimate_noise(problem)  # whatever is given
    ratio = float(problem.noise_variance / shown.variance)
    if not bool(shown.known) or 1 / NOISE_RATIO < ratio < NOISE_RATIO:
        return []
    evidence = f"noise_variance is {ratio:.2g} times what the CSI shows"
    return [Finding("noise variance", evidence, "Leave noise_variance out, or correct it", Severity.DOUBT)]


def shortened(
    csi: Csi, array: NodeArray, link: Tensor, subcarrier: Tensor, order: Tensor | None
) -> tuple[Csi, NodeArray]:
    """CSI and array on some links [n_tx, n_rx] and subcarriers [K], with subcarriers in another order [K] if given."""
    value = csi.value if order is None else csi.value[..., order]
    value = torch.where(link[..., None], value, 0)[..., subcarrier]
    los = csi.los & link
    cleaned = replace(
        csi,
        value=value,
        link=link[None],
        los=los,
        los_trusted=csi.los_trusted & los,
        los_channel=csi.los_channel[..., subcarrier],
    )
    return cleaned, replace(array, frequency=array.frequency[:, subcarrier])


def coarsely_synchronised(csi: Csi, array: NodeArray, grid: PixelGrid) -> tuple[Csi, NodeArray, NodeClocks]:
    """CSI of a few subcarriers from the middle of the band, its clocks compensated, and these clocks.

    Raises:
        InputError: if the band has no three uniformly spaced subcarriers, or no trusted line of sight.
    """
    try:
        clocks = synchronise(csi, array, CoarseSettings())
    except ValueError as error:
        raise InputError(f"synchronise: {error}") from error
    middle = middle_of_band(array.frequency.shape[1])
    tx, rx = clocks.phases_at(array.frequency[:, middle])
    value = csi.value[..., middle] * link_phasor(tx, rx)
    cleaned = replace(csi, value=value, los_channel=csi.los_channel[..., middle])
    if csi.noise_variance is None:  # the whole band shows it better than the part that is kept
        every = clocks.phases_at(array.frequency)
        problem = pose(replace(csi, value=csi.value * link_phasor(*every)), array, grid, None)
        noise, unit = estimate_noise(problem), problem.unit.square()
        cleaned = replace(cleaned, noise_variance=noise.variance * unit if bool(noise.known) else None)
    return cleaned, replace(array, frequency=array.frequency[:, middle]), clocks


def middle_of_band(count: int) -> slice:
    """The subcarriers from the middle of a band of `count` that are kept after coarse synchronisation."""
    return slice(count // 2, count // 2 + SYNCHRONISED)


def done(finding: Finding) -> Finding:
    """The finding that clocks are apart, after coarse synchronisation."""
    return replace(finding, cure="Synchronised over the line of sight", severity=Severity.DOUBT)
