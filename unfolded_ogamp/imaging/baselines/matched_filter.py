"""The matched filter: backprojection, and the local maxima of its power above a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.imaging.baselines.points import Points, moved
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.operators.multistatic import MultistaticOperator
from unfolded_ogamp.operators.search_grid import fine_positions
from unfolded_ogamp.settings import Settings, positive


@dataclass(frozen=True)
class MatchedFilter(Settings):
    """Image by the power |a^H y|^2 / |a|^2 of the matched filter.

    The defaults are the best of the earlier defaults and 8 random draws on 12 validation scenes of "paper", by the
    score of `presets.tuned_short`; `conf/tune.yaml` has the ranges.

    Attributes:
        spacing: largest distance between neighbours of the search grid, in wavelengths.
        threshold: least power of a scatterer, as a multiple of the median of the image (constant false-alarm rate).
    """

    spacing: Annotated[float, positive] = 0.136
    threshold: Annotated[float, positive] = 11.0

    def image(self, problem: Problem, observation: Tensor, points: Points, search: bool) -> Points:
        """The local maxima, moved to the peak of a parabola along every coordinate; see `Imager`."""
        if search:
            position = fine_positions(problem.grid, problem.array.wavelength, self.spacing)
            power = filtered(position, problem, observation)[1].nan_to_num(0.0, 0.0, 0.0)
            position = position[:, power[0] >= self.threshold * power.median()]
        else:
            position = points.position
        step = self.spacing * problem.array.wavelength[:, None]
        reflectivity, middle = filtered(position, problem, observation)
        shift, highest = torch.zeros_like(position), torch.ones_like(middle, dtype=torch.bool)
        for axis, unit in enumerate(torch.eye(position.shape[-1]).to(position)):
            below, above = (
                filtered(position + sign * step[..., None] * unit, problem, observation)[1] for sign in (-1, 1)
            )
            highest &= (middle >= below) & (middle >= above)
            shift[..., axis] = step / 2 * (below - above) / (below - 2 * middle + above)
        peaks = moved(Points(position, reflectivity), shift, problem, self.spacing / 2)
        peaks = peaks.keep(highest[0]) if search else peaks
        return Points(peaks.position, filtered(peaks.position, problem, observation)[0])


def filtered(position: Tensor, problem: Problem, observation: Tensor) -> tuple[Tensor, Tensor]:
    """Matched filter at positions [1, S, D]: reflectivity a^H y / |a|^2 and power |a^H y|^2 / |a|^2; [1, S] each."""
    operator = MultistaticOperator.at(problem.array, position, problem.dictionary_scale)
    energy = operator.energy_adjoint(problem.link.expand_as(observation.real))[:, 0]
    reflectivity = operator.adjoint(observation * problem.link)[:, 0] / energy
    return reflectivity, (reflectivity.real.square() + reflectivity.imag.square()) * energy
