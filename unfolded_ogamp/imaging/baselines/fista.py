"""Group lasso on the off-grid model by FISTA, with `pyproximal`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pyproximal import L2, L21
from pyproximal.optimization.primal import ProximalGradient
from torch import Tensor

from unfolded_ogamp.imaging.baselines.library import DictionaryOperator
from unfolded_ogamp.imaging.baselines.points import Points, estimated_shift, moved, searched
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.operators.off_grid import OffGridOperator
from unfolded_ogamp.settings import Settings, at_least, positive, within

POWER_ITERATIONS = 15
LIPSCHITZ_MARGIN = 1.1  # power iteration underestimates the largest eigenvalue


@dataclass(frozen=True)
class Fista(Settings):
    """Image by group lasso: the coefficients (x, s_1, ..., s_D) of a pixel are one group.

    After every image, pixels are recentred: they move by s / x, as in OG-AMP.

    The defaults are the best of the earlier defaults and 8 random draws on 12 validation scenes of "paper", by the
    score of `presets.tuned_short`; `conf/tune.yaml` has the ranges.

    Attributes:
        penalty: weight of the group norm, as a share of the least weight with an empty image.
        offset_scale: offset with the same weight as the reflectivity within a group, in pixels.
        iterations: iterations of FISTA in a round.
        oversampling: searched positions per empty pixel and axis.
        largest_move: largest move along a coordinate in a round, in wavelengths.
    """

    penalty: Annotated[float, within("(0, 1]")] = 0.097
    offset_scale: Annotated[float, positive] = 0.097
    iterations: Annotated[int, at_least(1)] = 16
    oversampling: Annotated[int, at_least(1)] = 3
    largest_move: Annotated[float, positive] = 0.042

    def image(self, problem: Problem, observation: Tensor, points: Points, search: bool) -> Points:
        """Iterations from the last image, then the recentring; see `Imager`."""
        if search:
            points = searched(points, problem, observation, self.oversampling)
        operator = OffGridOperator.at(problem.array, points.position, problem.dictionary_scale)
        weight = self.weights(operator, problem)
        start = torch.zeros_like(weight, dtype=points.reflectivity.dtype)
        start[:, 0] = points.reflectivity / weight[:, 0]
        coefficients = weight * self.solve(operator, problem.link, weight, observation, start)
        return moved(
            Points(points.position, coefficients[:, 0]), estimated_shift(coefficients), problem, self.largest_move
        )

    def weights(self, operator: OffGridOperator, problem: Problem) -> Tensor:
        """Weights [1, 1 + D, N] that normalise the columns of reflectivities and scale those of offsets."""
        n_frequencies = operator.wavenumber.shape[1]
        energy = operator.gains.energy_adjoint(problem.link.expand(-1, -1, -1, n_frequencies))
        dimension = operator.tx_direction.shape[1]
        scale = torch.ones(1, 1 + dimension, 1).to(energy)
        scale[:, 1:] = self.offset_scale * problem.grid.pixel
        return energy.rsqrt() * scale

    def solve(
        self, operator: OffGridOperator, link: Tensor, weight: Tensor, observation: Tensor, start: Tensor
    ) -> Tensor:
        """Group lasso on the weighted columns from `start` [1, 1 + D, N]; returns coefficients of the same shape."""
        dictionary = DictionaryOperator(operator, link, weight)
        y = (observation * link).flatten().numpy()
        misfit, norm = L2(Op=dictionary, b=y), L21(ndim=weight.shape[1])
        largest = np.linalg.norm(dictionary.rmatvec(y).reshape(weight.shape[1], -1), axis=0).max()
        solution = ProximalGradient(
            misfit,
            norm,
            x0=start.flatten().numpy(),
            epsg=float(self.penalty * largest),
            tau=1 / (LIPSCHITZ_MARGIN * largest_eigenvalue(dictionary)),
            niter=self.iterations,
            acceleration="fista",
        )
        return torch.from_numpy(solution.astype(dictionary.dtype)).reshape(weight.shape)


def largest_eigenvalue(dictionary: DictionaryOperator) -> float:
    """Largest eigenvalue of A^H A by power iteration: the Lipschitz constant of the misfit's gradient."""
    vector = np.random.default_rng(0).standard_normal(dictionary.shape[1]).astype(dictionary.dtype)
    value = 0.0
    for _ in range(POWER_ITERATIONS):
        vector = dictionary.rmatvec(dictionary.matvec(vector))
        value = float(np.linalg.norm(vector))
        vector = vector / value
    return value
