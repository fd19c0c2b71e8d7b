"""Near-field correction of the line of sight, for antennas close to one another or with an unknown gain.

Along a ray, the field of any antenna is exp(-j kappa d) / d times a series in 1 / (kappa d) (Wilcox, "An expansion
theorem for electromagnetic fields", 1956). A measured line of sight is not corrected.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.likelihood.jacobian import phase_jacobian
from unfolded_ogamp.imaging.model import Correction
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.inference import least_squares
from unfolded_ogamp.physics import distances, link_phasor, wrap
from unfolded_ogamp.records import choose

ORDERS = 2  # of the series; the series of a dipole ends there
STEPS = 8  # Gauss-Newton steps
RIDGE = 1e-9  # added to the normal equations, relative to their diagonal


def fit_near_field(problem: Problem, phases: NodePhases) -> tuple[Correction, NodePhases]:
    """Fit near-field terms of the line of sight and node phases [B, n, 1]; keep them in scenes that they improve.

    Only a free-space line of sight is corrected, and only where the Bayesian information criterion, node phases fitted
    with and without the terms, prefers them.
    """
    none = Correction.none(problem)
    near_field = problem.los_is_free_space
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
    """The assumed line of sight times (kappa d)^-m, m = 0 ... `ORDERS`: complex [B, n_tx, n_rx, K, 1 + ORDERS]."""
    length = distances(problem.array.tx, problem.array.rx)[..., None] * problem.array.wavenumber[:, None, None]
    order = torch.arange(ORDERS + 1, dtype=length.dtype, device=length.device)
    length = torch.where(problem.los != 0, length, 1)  # nodes without a line of sight may coincide
    return problem.los[..., None] * length[..., None].pow(-order)


def _fit(
    problem: Problem, phases: NodePhases, basis: Tensor, start: Tensor, free: bool
) -> tuple[Tensor, NodePhases, Tensor]:
    """Fit node phases and, if `free`, coefficients [B, 1 + ORDERS] from `start`; returns both and the cost [B]."""
    coefficients = start
    nodes = phases.tx.shape[1] + phases.rx.shape[1]
    n_unknowns = nodes + 2 * basis.shape[-1]
    moving = (torch.arange(n_unknowns, device=basis.device) < (n_unknowns if free else nodes)).expand(len(basis), -1)
    for _ in range(STEPS):
        model = (basis * coefficients[:, None, None, None]).sum(-1)
        difference = problem.csi * link_phasor(phases.tx, phases.rx) - model
        jacobian = torch.cat([phase_jacobian(model), basis, 1j * basis], dim=-1).flatten(1, 3)
        matrix, gradient = (jacobian.mH @ jacobian).real, (jacobian.mH @ difference.flatten(1)[..., None])[..., 0].real
        # the ridge fixes the gauge: the common node phase, and the phase of the gain against that of all Tx
        tx, rx, real, imaginary = least_squares.solve(matrix, gradient, RIDGE, moving).split(
            [phases.tx.shape[1], phases.rx.shape[1], basis.shape[-1], basis.shape[-1]], dim=1
        )
        coefficients = coefficients + torch.complex(real, imaginary)
        phases = replace(phases, tx=wrap(phases.tx + tx[..., None]), rx=wrap(phases.rx + rx[..., None]))
    model = (basis * coefficients[:, None, None, None]).sum(-1)
    cost = (problem.csi * link_phasor(phases.tx, phases.rx) - model).abs().square().sum((1, 2, 3))
    return coefficients, phases, cost
