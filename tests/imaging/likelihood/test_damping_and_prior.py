"""Damping follows success, and a prior on the reflectivities moves the optimum to where it balances the likelihood."""

from __future__ import annotations

from dataclasses import replace

import torch
from problems import modelled, posed, started

from unfolded_ogamp.imaging.likelihood import joint_step, normal_equations
from unfolded_ogamp.imaging.likelihood.joint_step import JointParameters
from unfolded_ogamp.imaging.scenes.scenario import Scenario

SCENARIO = Scenario(n_tx=8, n_rx=7, pixels=(6, 6), sparsity=0.1, snr_db=20.0)


def test_damping_falls_after_progress_and_grows_after_a_step_that_is_refused() -> None:
    *_, problem, truth = posed(SCENARIO, 2, seed=1)
    good, bad = (modelled(replace(truth, position=truth.position + shift), problem) for shift in (0.003, 0.01))
    taken = joint_step.accept(joint_step.init(bad), good)
    assert torch.equal(taken.model.cost, good.cost)
    assert bool((taken.damping < joint_step.init(bad).damping).all())
    torch.testing.assert_close(taken.decrease, (bad.cost - good.cost) / bad.cost)
    refused = joint_step.accept(joint_step.init(good), bad)
    assert torch.equal(refused.model.cost, good.cost)
    assert bool((refused.damping > joint_step.init(good).damping).all())
    assert bool(refused.decrease.isinf().all())


def test_a_prior_accepts_what_the_likelihood_alone_refuses() -> None:
    """Reflectivities a little smaller than those that fit, for a precision that outweighs the misfit."""
    *_, problem, truth = posed(replace(SCENARIO, snr_db=60.0), 2, seed=1)
    state = joint_step.init(modelled(truth, problem))
    smaller = modelled(replace(truth, reflectivity=0.99 * truth.reflectivity), problem)
    saved = joint_step.reflectivity_power(truth) - joint_step.reflectivity_power(smaller.sources)
    balance = (smaller.cost - state.model.cost) / saved
    assert bool((balance > 0).all())
    for share, accepted in ((0.0, False), (0.9, False), (1.1, True)):
        after = joint_step.accept(state, smaller, share * balance)
        assert torch.equal(after.model.cost, (smaller if accepted else state.model).cost)


def test_prior_is_the_noise_over_the_mean_power_of_the_reflectivities() -> None:
    """Noise as the residual shows it, of 200 scenes at the truth."""
    *_, problem, truth = posed(SCENARIO, 200, seed=2)
    expected = problem.noise_variance / truth.reflectivity.abs().square().mean(1)
    found = joint_step.prior_precision(modelled(truth, problem), problem)
    torch.testing.assert_close((found / expected).mean(), torch.tensor(1.0).double(), rtol=0.03, atol=0)


def test_steps_with_a_prior_end_where_it_balances_the_likelihood() -> None:
    """Gradient of the likelihood by the reflectivities = precision times reflectivity; all other gradients vanish."""
    *_, problem, truth = posed(SCENARIO, 3, seed=3)
    everywhere, parameters = torch.ones(3, dtype=torch.bool), JointParameters(prior=20.0)
    state = started(truth, problem)
    for _ in range(60):
        state = joint_step.step(state, problem, everywhere, 0.1, parameters)
    sources = state.model.sources
    n_slots, dimension = sources.position.shape[1:]
    first, last = n_slots * dimension, n_slots * (dimension + 2)
    gradient = normal_equations.gradient(state.model, problem)
    pull = torch.cat([sources.reflectivity.real, sources.reflectivity.imag], dim=1)
    pull = 20.0 * joint_step.prior_precision(state.model, problem)[:, None] * pull
    torch.testing.assert_close(gradient[:, first:last], pull, rtol=1e-3, atol=1e-3 * float(pull.abs().max()))
    at_truth = normal_equations.gradient(started(truth, problem).model, problem)
    for part in (slice(first), slice(last, None)):
        assert float(gradient[:, part].abs().max()) < 1e-2 * float(at_truth[:, part].abs().max())
    assert bool((joint_step.reflectivity_power(sources) < joint_step.reflectivity_power(truth)).all())
