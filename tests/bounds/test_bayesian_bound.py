"""The joint bound with prior information: its limits, closed forms, and the effect of a prior on the gauge."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hand_made import link_phase_rms, make_scene, star_scene

from unfolded_ogamp.bounds.imaging import (
    Prior,
    bayesian_joint_bound,
    fisher_information,
    joint_bound,
    prior_information,
)
from unfolded_ogamp.physics import los_channel, path_loss

SCENES = [(0.0, False), (0.3, False), (0.0, True)]


@pytest.mark.parametrize(("missing", "los"), SCENES)
def test_an_uninformative_prior_gives_the_joint_bound(missing, los):
    scene = make_scene(seed=5, n_tx=7, n_rx=6, n_scatterers=2, missing=missing, los=los)
    expected = joint_bound(scene, 0)
    wide, wider = (Prior(phase_std=spread, pixel=spread, reflectivity_std=spread) for spread in (1e3, 1e9))
    for prior, rtol in ((wide, 1e-4), (wider, 1e-9), (Prior(), 1e-12)):
        bound = bayesian_joint_bound(scene, 0, prior)
        torch.testing.assert_close(bound.position_std, expected.position_std, rtol=rtol, atol=0)
        assert bound.phase_rms == pytest.approx(expected.phase_rms, rel=rtol)
        assert bound.position_rms_known_phase == pytest.approx(expected.position_rms_known_phase, rel=rtol)
        assert bound.phase_rms_known_image == pytest.approx(expected.phase_rms_known_image, rel=rtol)


@pytest.mark.parametrize(("missing", "los"), SCENES)
def test_a_narrow_phase_prior_is_the_bound_with_phases_known(missing, los):
    scene = make_scene(seed=5, n_tx=7, n_rx=6, n_scatterers=2, missing=missing, los=los)
    bound, expected = bayesian_joint_bound(scene, 0, Prior(phase_std=1e-5)), joint_bound(scene, 0)
    torch.testing.assert_close(bound.position_std, expected.position_std_known_phase, rtol=1e-4, atol=0)
    assert bound.phase_rms < 1e-5


def test_bounds_grow_with_the_phase_prior_between_the_limits():
    scene = make_scene(seed=4, n_tx=8, n_rx=8)
    limits = joint_bound(scene, 0)
    bounds = [bayesian_joint_bound(scene, 0, Prior(phase_std=std)) for std in (1e-4, 0.01, 0.03, 0.1, 0.3, 10.0)]
    positions = [limits.position_rms_known_phase, *(b.position_rms for b in bounds), limits.position_rms]
    phases = [0.0, *(b.phase_rms for b in bounds), limits.phase_rms]
    for values in (positions, phases):
        assert all(before < after for before, after in pairwise(values))


def test_without_a_measurement_the_bound_is_that_of_the_prior():
    """Link phases lose their mean: of 1 / n_tx + 1 / n_rx node variances."""
    scene = make_scene(seed=2)
    noisy = replace(scene, noise_variance=scene.noise_variance * 1e12)
    bound = bayesian_joint_bound(noisy, 0, Prior(phase_std=0.5, pixel=0.2, reflectivity_std=0.1))
    torch.testing.assert_close(bound.position_std, torch.full((3, 2), 0.2 / math.sqrt(12)).double(), rtol=1e-6, atol=0)
    expected = 0.5 / math.sqrt(2) * math.sqrt(2 - 1 / 6 - 1 / 5)
    assert bound.phase_rms == pytest.approx(expected, rel=1e-6)


def test_four_receivers_around_one_transmitter_have_a_closed_form():
    """Line of sight alone: every Rx phase has information 2 |h|^2 / noise and 2 / phase_std^2, less their mean."""
    scene = star_scene()
    power = float(los_channel(scene.array).abs().square()[0, 0, 0].sum())
    measured = 2 * power / float(scene.noise_variance)
    phase_std = math.sqrt(2 / measured)  # the prior has as much information as the measurement
    bound = bayesian_joint_bound(scene, 0, Prior(phase_std=phase_std))
    assert bound.phase_rms == pytest.approx(math.sqrt(0.75 / (2 * measured)), rel=1e-9)


def test_one_link_over_one_scatterer_has_a_closed_form():
    """Only the phase of the CSI has information on the path length, limited by the phase of the reflectivity."""
    scene = make_scene(seed=1, n_tx=1, n_rx=1, n_scatterers=1)
    array = replace(scene.array, frequency=scene.array.frequency[:, :1])
    reflectivity = torch.full_like(scene.reflectivity, 0.8)
    scene = replace(scene, array=array, reflectivity=reflectivity, tx_phase=scene.tx_phase[..., :1])
    scene = replace(scene, rx_phase=scene.rx_phase[..., :1])
    prior = Prior(pixel=0.02, reflectivity_std=0.1)
    sides = [scene.position[0, 0] - nodes[0, 0] for nodes in (array.tx, array.rx)]
    slope = 0.8 * float(array.wavenumber * sum(side / side.norm() for side in sides).norm())
    noise = float(scene.noise_variance / 2 * path_loss(array, scene.position).square()) + 0.1**2 / 2
    along = 1 / (12 / 0.02**2 + slope**2 / noise)
    expected = math.sqrt(along + 0.02**2 / 12)
    assert bayesian_joint_bound(scene, 0, prior).position_rms_known_phase == pytest.approx(expected, rel=1e-9)


def test_known_reflectivities_make_tx_against_rx_observable_but_not_the_phase_common_to_all():
    """Without a phase prior any one node may be fixed: the bound is the inverse of the remaining matrix."""
    scene = make_scene(seed=5, n_scatterers=2)
    prior = Prior(reflectivity_std=0.05)
    bound = bayesian_joint_bound(scene, 0, prior)
    fisher = fisher_information(scene, 0) / scene.noise_variance + prior_information(scene, prior).diag()
    for reference in range(11):
        free = [index for index in range(len(fisher)) if index != 8 + reference]
        covariance = torch.linalg.inv(fisher[free][:, free])
        torch.testing.assert_close(bound.position_std.reshape(-1), covariance.diagonal()[:4].sqrt(), rtol=1e-6, atol=0)
        expected = link_phase_rms(covariance[8:, 8:], scene.link[0], reference)
        assert bound.phase_rms == pytest.approx(expected, rel=1e-6)


def test_only_priors_that_are_not_positive_are_refused():
    for name in ("phase_std", "pixel", "reflectivity_std"):
        for value in (0.0, -1.0, math.nan):
            with pytest.raises(ValueError, match=f"{name} must be positive"):
                Prior(**{name: value})
