"""The outcome of a search: whether a model explains the CSI, and in words what does not fit."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.records import Record

LEAST_SHIFT = 1 / 200  # least root mean square displacement of the nodes that is reported, in wavelengths
LEAST_LEVEL = 0.05  # the same of the logarithms of their gains
LOW_WEIGHT = 0.1  # weight below which a link counts as not fitting


class MismatchWarning(UserWarning):
    """Point scatterers, the assumed line of sight and noise do not explain the CSI, or no fit has converged."""


@dataclass(frozen=True)
class Outcome(Record):
    """The outcome of a search in every scene.

    Attributes:
        consistent: the residual is consistent with the noise, and no echo can hide in it or another start confirms it,
            bool [B].
        agreed: independent starts found the same scatterers, bool [B].
        starts: number of starts, int64 [B].
        noise_known: the noise variance is given, or the CSI shows it, bool [B].
        least_count: lower bound of the number of scatterers from the rank of the links' matrix, int64 [B].
        support: share of the other starts that found a source, too [B, S]; 1 if the residual is consistent.
        within_noise: the residual alone is consistent with the noise, confirmed or not, bool [B].
        crowded: more unknowns than independent samples, bool [B].
    """

    consistent: Tensor
    agreed: Tensor
    starts: Tensor
    noise_known: Tensor
    least_count: Tensor
    support: Tensor
    within_noise: Tensor
    crowded: Tensor

    @classmethod
    def of(
        cls, model: Model, problem: Problem, consistent: Tensor, agreed: Tensor, starts: Tensor, support: Tensor
    ) -> Self:
        """The outcome of a model of the problem with averaged subcarriers."""
        return cls(
            consistent=consistent,
            agreed=agreed,
            starts=starts,
            noise_known=problem.noise_variance > 0,
            least_count=problem.least_count,
            support=torch.where(consistent[:, None], 1.0, support),
            within_noise=model_selection.consistent(model, problem),
            crowded=model_selection.unknowns(model, problem) > problem.n_samples,
        )

    def on_all_subcarriers(self, model: Model, full: Problem) -> Self:
        """The outcome after a test on all subcarriers: if those that were averaged differ by more than noise, a misfit.

        Args:
            model: fitted to all subcarriers.
            full: the problem with all subcarriers.
        """
        fits = model_selection.excess(model, full) <= model_selection.MARGIN
        broken = self.consistent & ~fits
        return replace(self, consistent=self.consistent & fits, agreed=self.agreed | broken)

    @property
    def converged(self) -> Tensor:
        """Scenes with a consistent residual, or with starts that agree where the noise variance is unknown; [B]."""
        return self.consistent | (self.agreed & ~self.noise_known)

    @property
    def misfit(self) -> Tensor:
        """Scenes in which independent starts agree on a residual above the noise, bool [B]."""
        return self.agreed & ~self.converged

    @property
    def trapped(self) -> Tensor:
        """Scenes in which no start has a consistent residual, and no two starts agree, bool [B]."""
        return ~self.agreed & ~self.consistent


def sentences(model: Model, problem: Problem, outcome: Outcome) -> list[tuple[str, ...]]:
    """What does not fit, scene by scene; nothing where the model explains the CSI."""
    ratio = (model.cost / problem.n_samples / problem.noise_variance).detach()
    found: list[tuple[str, ...]] = []
    for scene in range(len(model.cost)):
        lines, known = [], bool(outcome.noise_known[scene])
        residual = f"residual {float(ratio[scene]):.3g} times the noise" if known else "noise variance unknown"
        if outcome.misfit[scene]:
            lines.append(f"points and noise do not explain the CSI: {residual}, and its variance is raised")
        if outcome.trapped[scene]:
            within_noise = bool(outcome.within_noise[scene])
            reason = "no other start confirms the fit" if within_noise else "trapped, or the CSI is outside the model"
            starts, least = int(outcome.starts[scene]), int(outcome.least_count[scene])
            limited = known and not bool(problem.has_los[scene])
            limit = f"at most {least} scatterer{'s' * (least != 1)} listed, " if limited else ""
            of_starts = f"{starts} start{'s' * (starts != 1)}"
            lines.append(
                f"not converged: {reason} ({of_starts}, {residual}); {limit}none certain; "
                "a larger budget, more nodes or a better roi may help"
            )
            if outcome.crowded[scene]:
                lines.append("there are more unknowns than independent samples of the CSI")
        found.append(tuple(lines) + calibration_sentences(model, problem, scene))
    return found


def calibration_sentences(model: Model, problem: Problem, scene: int) -> tuple[str, ...]:
    """What a self-calibrating fit changed in a scene: node positions, gains, links of low weight, extended targets."""
    lines, nodes = [], model.sources.nodes
    shift = torch.cat([nodes.tx_shift[scene], nodes.rx_shift[scene]]).norm(dim=1)
    if float(shift.square().mean().sqrt()) > LEAST_SHIFT * float(problem.array.wavelength[scene]):
        lines.append(f"nodes are {1e3 * float(shift.square().mean().sqrt()):.2g} mm (rms) off their list, estimated")
    level = torch.cat([nodes.tx_level[scene], nodes.rx_level[scene]])
    if float(level.std()) > LEAST_LEVEL:
        lines.append(f"gains of nodes differ by {20 / math.log(10) * float(level.std()):.2g} dB (rms), estimated")
    low, link = problem.link[scene, ..., 0].square() < LOW_WEIGHT, problem.link[scene, ..., 0] > 0
    low = low & link
    if low.any():
        sides = (("Tx", low.sum(1), link.sum(1)), ("Rx", low.sum(0), link.sum(0)))
        named = [
            f"{side} {node}"
            for side, count, total in sides
            for node in ((2 * count > total) & (total > 0)).nonzero()[:, 0].tolist()
        ]
        where = f", most of those of {', '.join(named)}" if named else ""
        lines.append(f"{int(low.sum())} of {int(link.sum())} links do not fit and have a low weight{where}")
    if model.sources.moment.shape[-1] and bool((model.sources.moment[scene] != 0).any()):
        lines.append("targets are extended, and their echoes depend on the direction")
    return tuple(lines)


def listing_sentences(n_vague: int, n_outside: int, n_ambiguous: int) -> tuple[str, ...]:
    """Sentences on scatterers of uncertain position, on echoes from outside the region, and on mirror images in it."""
    lines = []
    if n_vague:
        lines.append(
            f"the CSI does not locate {n_vague} scatterer{'s' * (n_vague > 1)} to a tenth of a wavelength: too few "
            "nodes, samples or scatterers to tell positions from node phases"
        )
    if n_outside:
        lines.append(f"{n_outside} echo{'es' * (n_outside > 1)} from outside the region, listed apart")
    if n_ambiguous:
        lines.append(
            f"all nodes lie on a line or in a plane: {n_ambiguous} scatterer{'s' * (n_ambiguous > 1)} and their mirror "
            "images have the same echo, and both are listed; a smaller roi decides"
        )
    return tuple(lines)


def warn(found: list[tuple[str, ...]]) -> None:
    """Warn in one line of what does not fit in a batch; the first scene with a sentence is quoted."""
    scenes = [lines for lines in found if lines]
    if scenes:
        others = f" (and in {len(scenes) - 1} more of {len(found)} scenes)" if len(scenes) > 1 else ""
        where = f" (in one of {len(found)} scenes)" if len(found) > 1 and not others else others
        warnings.warn("; ".join(scenes[0]) + where, MismatchWarning, stacklevel=2)
