"""The bound with nodes, gains and moments: its limits, its invariances, and Monte Carlo for each kind of unknown."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import pose_scene
from scipy.stats import chi2
from torch import Tensor

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.bounds.self_calibration import NodePrior, calibration_bound
from unfolded_ogamp.imaging.model import evaluate
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.selfcalibration import step
from unfolded_ogamp.imaging.selfcalibration.priors import Scales, with_moments
from unfolded_ogamp.imaging.selfcalibration.step import Freedom
from unfolded_ogamp.physics import Scene, aligned, link_phasor, measure

SCENARIO = Scenario(n_tx=9, n_rx=9, pixels=(8, 8), snr_db=35.0, n_subcarriers=1)
DRAWS = 120


def one(scenario: Scenario = SCENARIO) -> Scene:
    """A scene of four scatterers, two wavelengths apart."""
    scene = draw_scene(replace(scenario, sparsity=4 / 64), 1, torch.Generator().manual_seed(0))
    corners = torch.tensor([[-0.4, -0.3], [0.3, -0.4], [0.4, 0.3], [-0.3, 0.4]], dtype=torch.float64)
    return replace(scene, position=corners[None])


def turned(scene: Scene, angle: float) -> Scene:
    """The scene turned about the origin."""
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
    array = replace(scene.array, tx=scene.array.tx @ turn.T, rx=scene.array.rx @ turn.T)
    return replace(scene, array=array, position=scene.position @ turn.T)


@pytest.mark.parametrize("los", [False, True])
def test_with_known_nodes_it_is_the_joint_bound(los: bool) -> None:
    """Which holds amplitudes at their true values; with many nodes they add less than a hundredth."""
    many = replace(SCENARIO, n_tx=24, n_rx=24, pixels=(20, 20), sparsity=0.02)
    scene = draw_scene(many, 1, torch.Generator().manual_seed(1))
    scene = replace(scene, los=torch.full_like(scene.los, los))
    found = calibration_bound(scene, 0, NodePrior())
    assert found.position_rms == pytest.approx(joint_bound(scene, 0).position_rms, rel=0.01)
    assert found.node_rms == found.gain_rms == 0
    assert calibration_bound(scene, 0, NodePrior(node_std=1e-9)).position_rms == pytest.approx(found.position_rms)


def test_less_knowledge_is_a_larger_bound_and_aligned_errors_stay_small() -> None:
    scene, last = one(), 0.0
    for std in (0.0, 0.003, 0.03, 0.3):
        found = calibration_bound(scene, 0, NodePrior(node_std=std, gain_std=20 * std))
        assert found.position_rms > last
        assert found.position_rms_aligned <= found.position_rms
        last = found.position_rms
    # nodes off by a wavelength: the common shift of nodes and scatterers is known to a share of it only
    assert found.position_rms > 0.3 / math.sqrt(18) / 2
    assert found.position_rms_aligned < 0.3 * found.position_rms


def test_a_scene_may_be_turned_and_renumbered() -> None:
    """Without moments: independent priors of their monomials depend on the axes."""
    scene, prior = one(), NodePrior(node_std=0.01, gain_std=1.0)
    order = torch.tensor([3, 1, 0, 2, 8, 7, 5, 6, 4])
    other = turned(scene, 0.7)
    array = replace(other.array, tx=other.array.tx[:, order])
    other = replace(other, array=array, tx_phase=other.tx_phase[:, order])
    first, second = (calibration_bound(each, 0, prior) for each in (scene, other))
    for name in ("position_rms", "position_rms_aligned", "node_rms", "node_rms_aligned", "phase_rms", "gain_rms"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), rel=1e-6), name


def maximum_a_posteriori(prior: NodePrior) -> tuple[Tensor, Tensor, Scene]:
    """Errors of positions [draws, S, D] and shifts [draws, n, D] over draws of the unknowns and of the noise."""
    scene = one()[torch.zeros(DRAWS, dtype=torch.long)]
    generator = torch.Generator().manual_seed(4)

    def normal(like: Tensor, std: float) -> Tensor:
        return std * torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)

    _, _, problem, sources = pose_scene(scene, measure(scene, generator), 1.0)
    sources = with_moments(sources) if prior.moment_std else sources
    of_gain = prior.gain_std * math.log(10) / 20
    nodes = sources.nodes
    nodes = replace(
        nodes,
        tx_shift=normal(nodes.tx_shift, prior.node_std),
        rx_shift=normal(nodes.rx_shift, prior.node_std),
        tx_level=normal(nodes.tx_level, of_gain),
        rx_level=normal(nodes.rx_level, of_gain),
    )
    parts = [normal(sources.moment.real, prior.moment_std / math.sqrt(2)) for _ in range(2)]
    truth = replace(sources, nodes=nodes, moment=torch.complex(*parts))
    clean = evaluate(truth, problem).channel * link_phasor(truth.tx_phase[..., None], truth.rx_phase[..., None]).conj()
    noise = torch.complex(*(normal(clean.real, math.sqrt(0.5)) for _ in range(2)))
    problem = replace(problem, csi=clean + noise * problem.noise_variance.sqrt()[:, None, None, None])
    least = Scales.least(problem)
    scales = replace(
        least,
        shift=torch.full_like(least.shift, max(prior.node_std, 1e-8)),
        level=torch.full_like(least.level, max(of_gain, 1e-8)),
        moment=torch.full_like(least.moment, max(prior.moment_std, 1e-8)),
        coupling=torch.full_like(least.coupling, 1e-8),
    )
    everything = torch.ones(DRAWS, dtype=torch.bool)
    state = step.init(evaluate(truth, problem), scales)
    for _ in range(12):
        state = step.step(state, problem, Freedom(everything, everything), 0.1)
    found = state.model.sources
    shift = torch.cat([found.nodes.tx_shift - nodes.tx_shift, found.nodes.rx_shift - nodes.rx_shift], dim=1)
    return found.position - truth.position, shift, scene


@pytest.mark.parametrize(
    "prior",
    [NodePrior(node_std=0.003), NodePrior(gain_std=1.0), NodePrior(moment_std=0.02)],
    ids=["nodes", "gains", "moments"],
)
def test_maximum_a_posteriori_is_on_the_bound(prior: NodePrior) -> None:
    """Mean squares within a 99.9 % interval for as many independent errors as there are draws, and linearisation."""
    position, shift, scene = maximum_a_posteriori(prior)
    bound = calibration_bound(scene, 0, prior)
    nodes = torch.cat([scene.array.tx[0], scene.array.rx[0]])
    at_rest = torch.stack([aligned(error, scene.position[0]) for error in position])
    figures = [(position, bound.position_rms), (at_rest, bound.position_rms_aligned)]
    if prior.node_std:
        figures.append((shift, bound.node_rms))
        figures.append((torch.stack([aligned(error, nodes) for error in shift]), bound.node_rms_aligned))
    low, high = (chi2.ppf(share, DRAWS) / DRAWS for share in (0.0005, 0.9995))
    for error, expected in figures:
        ratio = float(error.square().sum(-1).mean()) / expected**2
        assert low < ratio < high
