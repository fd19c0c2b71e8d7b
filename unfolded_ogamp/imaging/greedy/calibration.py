"""Self-calibrating starts of a scene: the best one, and where the next ones begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle

import torch

from unfolded_ogamp.imaging.greedy.agreement import agree
from unfolded_ogamp.imaging.greedy.start_phases import near_phases, random_phases
from unfolded_ogamp.imaging.likelihood.alignment import phases_of
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.phases import autofocus
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration import start, weights
from unfolded_ogamp.imaging.selfcalibration.evidence import negative_evidence
from unfolded_ogamp.imaging.selfcalibration.fit import Fit, begin
from unfolded_ogamp.imaging.selfcalibration.priors import Scales
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings
from unfolded_ogamp.imaging.sources import Nodes, Sources


@dataclass
class Calibration:
    """The best self-calibrating start of a scene so far.

    Attributes:
        problem: the scene, a batch of one, without weights of the links.
        settings: settings of the starts.
        best: the best start; None before the first.
        agreements: number of starts that agree with the best one and are independent of it.
        independent: number of starts that are independent of the best one.
        starts: number of starts.
        found: sources of all starts.
    """

    problem: Problem
    settings: CalibrationSettings
    best: Fit | None = None
    agreements: int = 0
    independent: int = 0
    starts: int = 0
    found: list[Sources] = field(default_factory=list)

    def add(self, fit: Fit, independent: bool) -> None:
        """Add a start that is independent of the best one or not."""
        self.starts += 1
        self.found.append(fit.model.sources)
        if self.best is None:
            self.best = fit
            return
        same = bool(agree(self.best.model, fit.model, self.problem))
        if self._better(fit, self.best):
            self.agreements = self.agreements if same else 0
            self.best = fit
        self.agreements += int(same and independent)
        self.independent += int(independent)

    def _better(self, new: Fit, old: Fit) -> bool:
        if new.consistent != old.consistent:
            return new.consistent
        new_cost, old_cost = (negative_evidence(one, self.problem, self.settings) for one in (new, old))
        return bool(new_cost < old_cost)

    @property
    def agreed(self) -> bool:
        """Whether independent starts agree: at least one with the best start, and a third of all."""
        return self.agreements >= 1 and 3 * self.agreements >= self.independent

    @property
    def confirmed(self) -> bool:
        """Whether the residual is consistent with the noise, and no echo can hide in it or another start confirms."""
        if self.best is None or not self.best.consistent:
            return False
        return self.best.decisive or self.agreements >= 1 or bool(self.problem.phases_known)

    @property
    def ended(self) -> bool:
        """Whether no further start is needed."""
        return self.confirmed or self.agreed


def calibrations(
    calibration: Calibration, given: NodePhases, plain: Model, generator: torch.Generator
) -> Iterator[tuple[Fit, bool]]:
    """Self-calibrating starts of one scene, and whether each is independent of the best one so far.

    The first begins at the node phases of the best fit without self-calibration, the second at those of a robust
    autofocus. Then starts near the best one so far, with its nodes or those of the list, take turns with random ones.
    With a prior of the phases, the second and the random ones begin at phases that are drawn from it.

    Args:
        calibration: to which the caller adds every start.
        given: node phases [1, n, 1] before the search.
        plain: the best fit without self-calibration.
        generator: source of randomness.
    """
    problem, settings = calibration.problem, calibration.settings

    def anywhere(phases: NodePhases) -> Fit:
        begin_at = phases if bool(problem.phases_told) else focused(problem, phases, settings)
        return start.run(problem, begin_at, settings)

    yield start.run(problem, phases_of(plain.sources), settings), True
    if bool(problem.phases_known):
        return
    yield anywhere(random_phases(problem, generator) if bool(problem.phases_told) else given), True
    for kind in cycle(("near", "random", "near as listed", "random")):
        if kind == "random":
            yield anywhere(random_phases(problem, generator)), True
            continue
        assert calibration.best is not None
        best = calibration.best.model
        phases = near_phases(best, settings.jitter, generator)
        nodes = best.sources.nodes if kind == "near" else Nodes.as_listed(problem)
        empty = replace(Sources.none(problem, phases.tx[..., 0], phases.rx[..., 0]), nodes=nodes)
        yield start.resume(begin(problem, empty, Scales.first(problem)), problem, settings), False


def focused(problem: Problem, phases: NodePhases, settings: CalibrationSettings) -> NodePhases:
    """Node phases after autofocus from `phases`, with robust weights of the links."""
    sources = Sources.none(problem, phases.tx[..., 0], phases.rx[..., 0])
    empty = begin(problem, sources, Scales.first(problem))
    weight = weights.student(empty.model, problem, problem.link[..., 0] > 0)
    around = problem.weighted(weight)
    return autofocus.focus(around, phases, around.search_grid(settings.autofocus.spacing), settings.autofocus)[0]
