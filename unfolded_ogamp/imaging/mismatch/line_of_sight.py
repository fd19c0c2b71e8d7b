"""A line of sight that is not quite the free-space one it is said to be: near antennas, or of another gain.

Whatever an antenna radiates, along a ray its field is exp(-j kappa d) / d times a series in 1 / (kappa d) (Wilcox, "An
expansion theorem for electromagnetic fields", 1956). A line of sight that was measured is taken as it is.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood import normal_equations
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.physics import distances, link_phasor, los_channel, wrap
from unfolded_ogamp.records import choose

ORDERS = 2  # of the series: all that there is of a dipole
STEPS = 8  # of Gauss and Newton
RIDGE = 1e-9  # of the normal equations, relative to their diagonal
SAME = 1e-3  # relative difference up to which a line of sight is that of free space: single precision makes as much


def fitted(problem: Problem, phases: NodePhases) -> tuple[Problem, NodePhases]:
    """Problem and node phases [B, n, 1] with the series of the line of sight, in scenes whose CSI asks for it.

    It does where a line of sight that is said to be that of free space leaves so much more than the series, phases
    fitted to both, that the Bayesian information criterion pays for its coefficients.
    """
    near = free_space(problem)
    if not near.any():
        return problem, phases
    basis = series(problem)
    told = torch.zeros_like(basis[:, 0, 0, 0])
    told[:, 0] = 1
    _, _, before = _fit(problem, phases, basis, told, free=False)
    coefficients, found, after = _fit(problem, phases, basis, told, free=True)
    count = 2 * problem.n_samples
    near = near & (count * (before / after).log() > 2 * basis.shape[-1] * count.log())
    correction = (basis * (coefficients - told)[:, None, None, None]).sum(-1)
    correction = torch.where(near[:, None, None, None], correction, 0)
    return replace(problem, near=near, correction=correction), choose(near, found, phases)


def series(problem: Problem) -> Tensor:
    """The line of sight as told over the powers 0 to `ORDERS` of kappa d: [B, n_tx, n_rx, K, 1 + ORDERS]."""
    length = distances(problem.array.tx, problem.array.rx)[..., None] * problem.array.wavenumber[:, None, None]
    order = torch.arange(ORDERS + 1, dtype=length.dtype, device=length.device)
    length = torch.where(problem.los != 0, length, 1)  # without a line of sight nodes may be in one place
    return problem.los[..., None] * length[..., None].pow(-order)


def free_space(problem: Problem) -> Tensor:
    """Scenes with a line of sight that is the free-space one (9) on all its links, whatever its scale: bool [B]."""
    said = problem.los.abs() > 0
    ratio = problem.los / los_channel(problem.array)
    mean = torch.where(said, ratio, 0).sum((1, 2, 3)) / said.sum((1, 2, 3)).clamp(min=1)
    apart = (ratio - mean[:, None, None, None]).abs() > SAME * mean.abs()[:, None, None, None]
    return said.any(-1).any(-1).any(-1) & ~(said & apart).any(-1).any(-1).any(-1)


def _fit(
    problem: Problem, phases: NodePhases, basis: Tensor, start: Tensor, free: bool
) -> tuple[Tensor, NodePhases, Tensor]:
    """Coefficients [B, 1 + ORDERS] from `start`, if they are `free`, and node phases; and the cost [B]."""
    coefficients = start
    nodes = phases.tx.shape[1] + phases.rx.shape[1]
    n_unknowns = nodes + 2 * basis.shape[-1]
    moving = (torch.arange(n_unknowns, device=basis.device) < (n_unknowns if free else nodes)).expand(len(basis), -1)
    for _ in range(STEPS):
        model = (basis * coefficients[:, None, None, None]).sum(-1)
        difference = problem.csi * link_phasor(phases.tx, phases.rx) - model
        jacobian = torch.cat([normal_equations.turns(model), basis, 1j * basis], dim=-1).flatten(1, 3)
        matrix, gradient = (jacobian.mH @ jacobian).real, (jacobian.mH @ difference.flatten(1)[..., None])[..., 0].real
        # the ridge holds the phase common to all nodes, and the gain's against that of all Tx
        tx, rx, real, imaginary = least_squares.solve(matrix, gradient, RIDGE, moving).split(
            [phases.tx.shape[1], phases.rx.shape[1], basis.shape[-1], basis.shape[-1]], dim=1
        )
        coefficients = coefficients + torch.complex(real, imaginary)
        phases = replace(phases, tx=wrap(phases.tx + tx[..., None]), rx=wrap(phases.rx + rx[..., None]))
    model = (basis * coefficients[:, None, None, None]).sum(-1)
    cost = (problem.csi * link_phasor(phases.tx, phases.rx) - model).abs().square().sum((1, 2, 3))
    return coefficients, phases, cost
