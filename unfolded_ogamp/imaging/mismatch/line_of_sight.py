"""The near field of the line of sight: antennas that are close to one another, or of another gain than assumed.

Whatever an antenna radiates, along a ray its field is exp(-j kappa d) / d times a series in 1 / (kappa d) (Wilcox, "An
expansion theorem for electromagnetic fields", 1956). A line of sight that was measured is taken as it is.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.normal_equations import phase_jacobian
from unfolded_ogamp.imaging.model import Correction
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.physics import distances, link_phasor, los_channel, wrap
from unfolded_ogamp.records import choose

ORDERS = 2  # of the series: all that there is of a dipole
STEPS = 8  # of Gauss and Newton
RIDGE = 1e-9  # of the normal equations, relative to their diagonal
SAME = 1e-3  # relative difference up to which a line of sight is that of free space: single precision makes as much


def fit_near_field(problem: Problem, phases: NodePhases) -> tuple[Correction, NodePhases]:
    """Near-field terms of the line of sight and the node phases [B, n, 1], in scenes whose CSI asks for them.

    It does where an assumed free-space line of sight leaves so much more than the series, phases fitted to both, that
    the Bayesian information criterion pays for its coefficients.
    """
    none = Correction.none(problem)
    near_field = is_free_space(problem)
    if not near_field.any():
        return none, phases
    basis = series(problem)
    assumed = torch.zeros_like(basis[:, 0, 0, 0])
    assumed[:, 0] = 1
    _, _, before = _fit(problem, phases, basis, assumed, free=False)
    coefficients, found, after = _fit(problem, phases, basis, assumed, free=True)
    count = 2 * problem.n_samples
    near_field = near_field & (count * (before / after).log() > 2 * basis.shape[-1] * count.log())
    channel = (basis * (coefficients - assumed)[:, None, None, None]).sum(-1)
    channel = torch.where(near_field[:, None, None, None], channel, 0)
    return replace(none, near_field=near_field, channel=channel), choose(near_field, found, phases)


def series(problem: Problem) -> Tensor:
    """The assumed line of sight over the powers 0 to `ORDERS` of kappa d: [B, n_tx, n_rx, K, 1 + ORDERS]."""
    length = distances(problem.array.tx, problem.array.rx)[..., None] * problem.array.wavenumber[:, None, None]
    order = torch.arange(ORDERS + 1, dtype=length.dtype, device=length.device)
    length = torch.where(problem.los != 0, length, 1)  # without a line of sight nodes may be in one place
    return problem.los[..., None] * length[..., None].pow(-order)


def is_free_space(problem: Problem) -> Tensor:
    """Scenes with a line of sight that is the free-space one (9) on all its links, whatever its scale: bool [B]."""
    there = problem.los.abs() > 0
    ratio = problem.los / los_channel(problem.array)
    mean = torch.where(there, ratio, 0).sum((1, 2, 3)) / there.sum((1, 2, 3)).clamp(min=1)
    apart = (ratio - mean[:, None, None, None]).abs() > SAME * mean.abs()[:, None, None, None]
    return there.any(-1).any(-1).any(-1) & ~(there & apart).any(-1).any(-1).any(-1)


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
        jacobian = torch.cat([phase_jacobian(model), basis, 1j * basis], dim=-1).flatten(1, 3)
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
