"""Orthogonal matching pursuit on a dictionary finer than the pixels, with `pylops`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pylops.optimization.callback import Callbacks
from pylops.optimization.cls_sparsity import OMP
from torch import Tensor

from unfolded_ogamp.imaging.baselines.library import DictionaryOperator
from unfolded_ogamp.imaging.baselines.points import Points, estimated_shift, least_squares, merged, moved, refit
from unfolded_ogamp.imaging.ogamp.listing import ListSettings
from unfolded_ogamp.imaging.ogamp.presets import tuned
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.operators.multistatic import MultistaticOperator
from unfolded_ogamp.operators.search_grid import fine_positions
from unfolded_ogamp.settings import Settings, at_least, positive, within


@dataclass(frozen=True)
class OrthogonalMatchingPursuit(Settings):
    """Image by orthogonal matching pursuit; the dictionary also contains the points of the last round.

    After every image, points are recentred: they move by s / x of the off-grid model, as in OG-AMP.

    The defaults are the best of the earlier defaults and 8 random draws on 12 validation scenes of "paper", by the
    score of `presets.tuned_short`; `conf/tune.yaml` has the ranges.

    Attributes:
        spacing: largest distance between the positions of the dictionary, in wavelengths.
        false_alarm: the pursuit stops at an atom that noise of the residual's power yields with this probability.
        solver_iterations: least-squares iterations after every new atom.
        largest_move: largest move along a coordinate in a round, in wavelengths.
        listing: which atoms merge: a scatterer between positions takes several; by default as for `og_amp`.
    """

    spacing: Annotated[float, positive] = 0.19
    false_alarm: Annotated[float, within("(0, 1]")] = 4e-7
    solver_iterations: Annotated[int, at_least(1)] = 15
    largest_move: Annotated[float, positive] = 0.09
    listing: ListSettings = field(default_factory=lambda: tuned().listing)

    def image(self, problem: Problem, observation: Tensor, points: Points, search: bool) -> Points:
        """The pursuit, or without `search` least squares on the last points, then recentring; see `Imager`."""
        position = points.position
        if search:
            position = torch.cat(
                [points.found().position, fine_positions(problem.grid, problem.array.wavelength, self.spacing)], dim=1
            )
            position = position[:, self.pursue(position, problem, observation)]
        chosen = refit(Points(position, torch.ones_like(position[..., 0]).to(observation.dtype)), problem, observation)
        chosen = merged(chosen, problem, self.listing)
        coefficients = least_squares(chosen, problem, observation, derivatives=True).to(observation.dtype)
        fitted = Points(chosen.position, coefficients[:, 0])
        return moved(fitted, estimated_shift(coefficients), problem, self.largest_move)

    def pursue(self, position: Tensor, problem: Problem, observation: Tensor) -> list[int]:
        """Indices of the positions [1, Q, D] that the pursuit chooses, in its order."""
        operator = MultistaticOperator.at(problem.array, position, problem.dictionary_scale)
        samples = int(problem.n_samples)
        weight = operator.energy_adjoint(problem.link.expand_as(observation.real)).rsqrt()
        stop = NoiseStop(math.log(position.shape[1] / self.false_alarm) / samples)
        solver = OMP(DictionaryOperator(operator, problem.link, weight), callbacks=[stop])
        solver.setup(
            (observation * problem.link).flatten().numpy(),
            niter_outer=samples // (position.shape[-1] + 2),
            niter_inner=self.solver_iterations,
            sigma=0.0,
        )
        _, chosen = solver.run([], [])
        # the last atom stopped the pursuit and is dropped, unless it repeats an earlier one
        return chosen[:-1] if stop.stop and len(chosen) == solver.iiter else chosen


class NoiseStop(Callbacks):
    """Stop when an atom lowers the power of the residual by less than `share` of what remains."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.stop = False

    def on_step_end(self, solver: OMP, x: NDArray[np.complexfloating]) -> None:  # noqa: ARG002
        before, after = (cost**2 for cost in solver.cost[-2:])
        self.stop = before - after < self.share * after
