"""Maximum likelihood and maximum a posteriori fits from the truth, over many draws of the noise, reach their bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import modelled, pose_scene, started

from unfolded_ogamp.bounds.imaging import Prior, bayesian_joint_bound, joint_bound
from unfolded_ogamp.imaging.likelihood import joint_step, normal_equations
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import Scene, link_phase, link_phase_error, measure

DRAWS = 500
EASY = Scenario(name="easy", n_tx=8, n_rx=8, pixels=(10, 10), snr_db=30.0)
PRIOR = Prior(phase_std=0.03, pixel=0.005, reflectivity_std=0.02)  # about as much information as the measurements have


def many_times(scenario: Scenario) -> Scene:
    """One scene of four scatterers, two wavelengths apart, as a batch of as many scenes as there are draws."""
    scene = draw_scene(replace(scenario, sparsity=0.04), 1, torch.Generator().manual_seed(0))
    corners = torch.tensor([[-0.4, -0.3], [0.3, -0.4], [0.4, 0.3], [-0.3, 0.4]], dtype=torch.float64)
    return replace(scene, position=corners[None])[torch.zeros(DRAWS, dtype=torch.long)]


def measured(scene: Scene) -> tuple[Problem, Sources]:
    """A measurement of every scene, in the units of the reflectivities, and the true sources."""
    *_, problem, truth = pose_scene(scene, measure(scene, torch.Generator().manual_seed(1)))
    return problem, truth


def rms_errors(sources: Sources, scene: Scene) -> tuple[float, float]:
    """Root mean square distance [m] and gauge-free link phase error [rad] over draws, scatterers and links."""
    distance = (sources.position - scene.position).norm(dim=-1)
    true = link_phase(scene.tx_phase, scene.rx_phase)
    estimated = link_phase(sources.tx_phase[..., None], sources.rx_phase[..., None]).expand_as(true)
    phase = link_phase_error(estimated, true, scene.link)[scene.link]
    return float(distance.square().mean().sqrt()), float(phase.square().mean().sqrt())


@pytest.mark.parametrize("scenario", [EASY, replace(EASY, missing_links=0.25, los=True)], ids=["all", "some, los"])
def test_maximum_likelihood_is_on_the_joint_bound(scenario):
    scene = many_times(scenario)
    problem, truth = measured(scene)
    state = started(truth, problem)
    for _ in range(12):
        state = joint_step.step(state, problem, torch.ones(DRAWS, dtype=torch.bool), largest_move=0.1)
    position, phase = rms_errors(state.model.sources, scene)
    bound = joint_bound(scene, 0)
    assert position == pytest.approx(bound.position_rms, rel=0.05)
    assert phase == pytest.approx(bound.phase_rms, rel=0.05)


def test_maximum_a_posteriori_is_on_the_bayesian_bound():
    """Unknowns are drawn from the prior around the easy scene, and Gauss-Newton uses the prior."""
    generator = torch.Generator().manual_seed(2)

    def spread(mean: torch.Tensor, std: float) -> torch.Tensor:
        return mean + std * torch.randn(mean.shape, generator=generator, dtype=mean.dtype)

    middle = many_times(EASY)
    nodes = PRIOR.phase_std / math.sqrt(2)
    scene = replace(
        middle,
        position=spread(middle.position, PRIOR.pixel / math.sqrt(12)),
        reflectivity=spread(middle.reflectivity, PRIOR.reflectivity_std),  # complex: a half of the variance each
        tx_phase=spread(middle.tx_phase[..., :1], nodes).expand(-1, -1, 2),
        rx_phase=spread(middle.rx_phase[..., :1], nodes).expand(-1, -1, 2),
    )
    problem, truth = measured(scene)
    mean = measured(middle)[1]
    # in the order of the joint step: positions, real and imaginary parts, nodes
    counts = torch.tensor([8, 8, 16])
    variance = torch.tensor([PRIOR.pixel**2 / 12, PRIOR.reflectivity_std**2 / 2, nodes**2], dtype=torch.float64)
    weight = problem.noise_variance[:, None] / 2 / variance.repeat_interleave(counts)

    sources = truth
    for _ in range(8):
        model = modelled(sources, problem)
        pull = weight * (unknowns(mean) - unknowns(sources))
        gradient = normal_equations.gradient(model, problem) + pull
        matrix = normal_equations.normal_matrix(model, problem) + torch.diag_embed(weight)
        change = torch.linalg.solve(matrix, gradient)
        sources = joint_step.move(sources, change, torch.full((DRAWS,), math.inf, dtype=torch.float64))
    assert float(change.abs().max()) < 1e-6
    position, phase = rms_errors(sources, scene)
    bound = bayesian_joint_bound(middle, 0, PRIOR)
    assert position == pytest.approx(bound.position_rms, rel=0.05)
    assert phase == pytest.approx(bound.phase_rms, rel=0.05)
    assert bound.position_rms < 0.8 * joint_bound(middle, 0).position_rms  # the prior has an effect
    assert bound.phase_rms < 0.8 * joint_bound(middle, 0).phase_rms


def unknowns(sources: Sources) -> torch.Tensor:
    """The unknowns of `joint_step.move`, in its order: [B, P]."""
    parts = [sources.position.mT.flatten(1), sources.reflectivity.real, sources.reflectivity.imag]
    return torch.cat([*parts, sources.tx_phase, sources.rx_phase], dim=1)
