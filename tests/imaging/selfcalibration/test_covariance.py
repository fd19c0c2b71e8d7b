"""The jackknife over the nodes against fits without each node; the larger of two covariances."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import posed

from unfolded_ogamp.imaging.likelihood.jacobian import jacobian
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.selfcalibration import fit, step
from unfolded_ogamp.imaging.selfcalibration.covariance import (
    REWEIGHTINGS,
    at_least,
    fit_uncertainty,
    gauge_directions,
    jackknife,
)
from unfolded_ogamp.imaging.selfcalibration.fit import Fit
from unfolded_ogamp.imaging.selfcalibration.priors import Scales
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings

SCENARIO = Scenario(n_tx=16, n_rx=15, pixels=(6, 6), sparsity=0.12, snr_db=30.0)
SETTINGS = CalibrationSettings()


def fitted(snr_db: float = 30.0) -> tuple[Fit, Problem]:
    """A fit of one scene from the truth, in which nodes are as listed."""
    *_, problem, truth = posed(replace(SCENARIO, snr_db=snr_db), expected_count=1.0)
    started = fit.align(fit.begin(problem, truth, Scales.least(problem)), SETTINGS)
    return fit.joint_steps(started, replace(SETTINGS, tolerance=1e-12), 30), problem


@pytest.mark.parametrize("soft", [0.0, 0.3])
def test_the_jackknife_leaves_out_one_node_at_a_time(soft: float) -> None:
    """The diagonal for the positions against the sum over explicit solutions, one per node, whose unknowns stay.

    With softening, the weights of the other links follow, in as many steps.
    """
    whole, _ = fitted()
    posed_all = step.equations(whole.state, whole.problem, fit.freedom(whole, SETTINGS))
    gauge = gauge_directions(whole.model.sources, whole.problem)
    softening = soft * torch.linspace(0, 1, 240).double().reshape(16, 15) / float(whole.model.cost / 240)
    found = jackknife(jacobian(whole.model, whole.problem), whole.model.residual, posed_all, gauge, softening)
    n_positions = 2 * whole.model.sources.used.shape[1]
    rows = jacobian(whole.model, whole.problem).written_out()[0]
    scores = (rows.conj() * whole.model.residual[0, ..., None]).real.sum(2)
    total = torch.zeros(n_positions, dtype=torch.float64)
    for side, count in ((0, 16), (1, 15)):
        for node in range(count):
            own = rows.movedim(side, 0)[node].flatten(0, 1)
            matrix = posed_all.matrix[0] - (own.mH @ own).real
            moved = torch.zeros(len(matrix), dtype=torch.float64)
            start = len(matrix) - 4 * (31 - node - 16 * side)
            kept = torch.cat([torch.arange(start), torch.arange(start + 4, len(matrix))])
            score = scores.movedim(side, 0)[node].sum(0)
            others = scores.movedim(side, 0)[torch.arange(count) != node].flatten(0, 1)
            weight = softening.movedim(side, 0)[torch.arange(count) != node].flatten()
            for _ in range(REWEIGHTINGS):
                right = score + others.T @ (weight * (others @ moved))
                moved[kept] = torch.linalg.solve(matrix[kept][:, kept], right[kept])
            total += (count - 1) / count * moved[:n_positions].square()
    for link in scores.flatten(0, 1):
        total -= torch.linalg.solve(posed_all.matrix[0], link)[:n_positions].square()
    torch.testing.assert_close(found.diagonal()[:n_positions], total, rtol=1e-4, atol=0)


def test_nothing_changes_along_the_gauge() -> None:
    whole, _ = fitted()
    columns = jacobian(whole.model, whole.problem).written_out()[0]
    gauge = gauge_directions(whole.model.sources, whole.problem)
    assert gauge.shape[1] == 2
    change = columns @ gauge.to(columns)
    assert float(change.abs().max()) < 1e-10 * float(columns.abs().max())


def test_the_larger_covariance_is_at_least_both() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randn(6, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    least, other = first @ first.T, second @ second.T
    found = at_least(least, other)
    assert float(torch.linalg.eigvalsh(found - least).min()) > -1e-8
    assert float(torch.linalg.eigvalsh(found - other).min()) > -1e-6
    torch.testing.assert_close(at_least(least, 0.5 * least), least)
    torch.testing.assert_close(at_least(least, 3.0 * least), 3.0 * least)


def test_fixed_unknowns_stay_known() -> None:
    least, other = torch.eye(3).double(), 4 * torch.eye(3).double()
    least[2, 2] = 0
    torch.testing.assert_close(at_least(least, other), torch.tensor([4.0, 4.0, 0.0]).double().diag())


def test_the_jackknife_says_how_large_the_noise_is() -> None:
    """With a noise variance that is 30 times too small, the stated errors are those of the true one, nearly."""
    whole, problem = fitted()
    assert whole.consistent
    known = fit_uncertainty(whole, SETTINGS)
    quiet = Fit(whole.state, replace(whole.problem, noise_variance=problem.noise_variance / 30))
    assert not quiet.consistent
    found = fit_uncertainty(quiet, SETTINGS)
    for name in ("position", "tx_phase", "rx_phase"):
        one, other = (getattr(each, name) for each in (found, known))
        if name == "position":
            one, other = (value.diagonal(dim1=2, dim2=3) for value in (one, other))
        assert 0.6 < float((one.mean() / other.mean()).sqrt()) < 1.7
    assert known.tx_shift.sqrt().max() < 1e-3 * float(problem.array.wavelength)
