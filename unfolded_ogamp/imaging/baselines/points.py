"""The image of a baseline: points with reflectivities, and the operations on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.estimate import Scatterers
from unfolded_ogamp.imaging.ogamp.iteration import best_offset
from unfolded_ogamp.imaging.ogamp.listing import ListSettings, combine
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.inference.least_squares import minimum_norm
from unfolded_ogamp.operators.multistatic import MultistaticOperator
from unfolded_ogamp.operators.points import PointColumns
from unfolded_ogamp.records import Record


@dataclass(frozen=True)
class Points(Record):
    """The image of a baseline, in a batch of one scene.

    Attributes:
        position: [1, S, D], [m].
        reflectivity: complex [1, S], in problem units; exactly zero where there is no scatterer.
    """

    position: Tensor
    reflectivity: Tensor

    @classmethod
    def at_pixel_centres(cls, problem: Problem) -> Points:
        """The pixel centres, with no scatterer at any of them."""
        centre = problem.grid.centre
        return cls(centre, torch.zeros_like(centre[..., 0], dtype=problem.csi.dtype))

    def found(self) -> Points:
        """Only the points with a scatterer."""
        return self.keep((self.reflectivity != 0)[0])

    def keep(self, index: Tensor) -> Points:
        """The points of a mask [S] or an index."""
        return Points(self.position[:, index], self.reflectivity[:, index])


def channel(points: Points, problem: Problem) -> Tensor:
    """Exact channel of the points, without line of sight: complex [1, n_tx, n_rx, K]."""
    found = points.found()
    operator = MultistaticOperator.at(problem.array, found.position, problem.dictionary_scale)
    return operator.forward(found.reflectivity[:, None]) * problem.link


def columns_at(points: Points, problem: Problem, derivatives: bool) -> PointColumns:
    """Exact dictionary columns at the points, with or without derivatives."""
    used = torch.ones_like(points.position[..., 0], dtype=torch.bool)
    columns = PointColumns.at(problem.array, points.position, used, problem.dictionary_scale)
    if derivatives:
        return columns
    return columns.without_derivatives()


def searched(points: Points, problem: Problem, observation: Tensor, oversampling: int) -> Points:
    """One point per pixel; points without a scatterer move to the largest matched-filter output within their pixel."""
    residual = (observation - channel(points, problem)) * problem.link
    candidate = problem.grid.centre + best_offset(problem, residual, oversampling)
    empty = points.reflectivity == 0
    return replace(points, position=torch.where(empty[..., None], candidate, points.position))


def moved(points: Points, shift: Tensor, problem: Problem, largest_move: float) -> Points:
    """The points after a shift [1, S, D] [m], limited to `largest_move` wavelengths along a coordinate.

    Points without a scatterer do not move, and no point leaves the region of interest.
    """
    limit = largest_move * problem.array.wavelength[:, None, None]
    shift = torch.where((points.reflectivity != 0)[..., None], shift.nan_to_num(), 0)
    edge, centre = problem.grid.pixel[:, None, None] / 2, problem.grid.centre
    low, high = centre.amin(1, keepdim=True) - edge, centre.amax(1, keepdim=True) + edge
    target = points.position + torch.maximum(torch.minimum(shift, limit), -limit)
    return replace(points, position=torch.maximum(torch.minimum(target, high), low))


def merged(points: Points, problem: Problem, settings: ListSettings) -> Points:
    """The points after merging or dropping those close to a stronger one."""
    plain = torch.zeros_like(points.position[0])
    scatterers = Scatterers.points(
        points.position[0], torch.diag_embed(plain), points.reflectivity[0], torch.ones_like(plain[:, 0])
    )
    result = combine(scatterers, settings, float(problem.array.wavelength))
    return Points(result.position[None], result.reflectivity[None])


def refit(points: Points, problem: Problem, observation: Tensor) -> Points:
    """The same positions with reflectivities by least squares."""
    coefficients = least_squares(points, problem, observation, derivatives=False)
    return replace(points, reflectivity=coefficients[:, 0].to(points.reflectivity.dtype))


def least_squares(points: Points, problem: Problem, observation: Tensor, derivatives: bool) -> Tensor:
    """Least-squares coefficients of the columns at the points, complex double [1, 1 or 1 + D, S].

    With `derivatives` they are (x, s_1, ..., s_D) of the first-order model, s in metres times reflectivity.
    """
    double = torch.float64
    points, problem, observation = points.to(double), problem.to(double), observation.to(torch.complex128)
    columns = columns_at(points, problem, derivatives)
    gram = columns.gram(problem.link)
    target = columns.matched(observation * problem.link)
    return minimum_norm(gram, target, tolerance=1e-8).reshape(1, columns.tx.shape[3], columns.n_slots)


def estimated_shift(coefficients: Tensor) -> Tensor:
    """Offset Re(s / x) [1, S, D] [m] from coefficients [1, 1 + D, S] of the first-order model; zero if x is."""
    reflectivity, shift = coefficients[:, :1], coefficients[:, 1:]
    power = reflectivity.real.square() + reflectivity.imag.square()
    return torch.where(power > 0, (shift * reflectivity.conj()).real / power, 0).mT
