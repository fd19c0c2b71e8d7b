"""The literal edge form reproduces the reference numbers, and the node-level form of the package agrees with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import edge_form
import numpy as np
import pytest
import torch
from operator_contract import BATCH, Case, OperatorContract
from torch import Tensor

from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.inference import message_passing
from unfolded_ogamp.inference.message_passing import BernoulliGaussian, Posterior
from unfolded_ogamp.operators.multistatic import MultistaticOperator, dictionary_scale
from unfolded_ogamp.operators.off_grid import OffGridOperator
from unfolded_ogamp.physics import nlos_channel, phasor
from unfolded_ogamp.records import Record


def test_edge_form_reproduces_the_reference(golden_edge_messages: dict[str, np.ndarray]) -> None:
    golden = {key: torch.from_numpy(np.asarray(value)) for key, value in golden_edge_messages.items()}
    blocks, mean, variance = golden["blocks"], golden["mu"], golden["var"]
    edge_mean, edge_variance = edge_form.initial(blocks, mean, variance)
    for t in (1, 2, 3):
        out = edge_form.iterate(
            blocks,
            golden["y"],
            edge_mean,
            edge_variance,
            mean,
            variance,
            float(golden["eta"]),
            float(golden["noise_var"]),
        )
        edge_mean, edge_variance = out.edge_mean, out.edge_variance
        for name, value in {
            "activity": out.activity,
            "tot_x": out.total_mean,
            "tot_v": out.total_variance,
            "post_x": out.active_mean,
            "post_v": out.active_variance,
            "edge_x": out.edge_mean,
            "edge_v": out.edge_variance,
        }.items():
            torch.testing.assert_close(
                value.to(golden[f"{name}_{t}"].dtype), golden[f"{name}_{t}"], rtol=1e-9, atol=1e-9
            )


def disagreement(kind: type[MultistaticOperator] | type[OffGridOperator], n_nodes: int, side: int, seed: int) -> float:
    """Relative difference of the posterior means of node form and edge form after three iterations."""
    scenario = Scenario(
        n_tx=n_nodes, n_rx=n_nodes, pixels=(side, side), pixel=0.5, off_grid=False, phase_std=0.0, sparsity=0.1
    )
    scene, _ = draw(scenario, 1, torch.Generator().manual_seed(seed))
    scale = dictionary_scale(scene.array, scene.grid.centre, scene.grid.pixel / 2)
    operator = kind.at(scene.array, scene.grid.centre, scale)
    y = nlos_channel(scene.array, scene.position, scene.reflectivity) / scale
    n, n_blocks = side**2, 1 if kind is MultistaticOperator else 3
    columns = torch.eye(n_blocks * n, dtype=torch.complex128).reshape(-1, 1, n_blocks, n)
    blocks = torch.stack([operator.forward(c)[0].flatten() for c in columns], -1).unflatten(-1, (n_blocks, n))
    blocks = blocks.movedim(1, 0)
    mean = torch.tensor([1.0, 0.0, 0.0])[:n_blocks].double()
    variance = torch.tensor([0.3, 0.01, 0.01])[:n_blocks].double()
    eta, noise = 0.1, 5.0
    edge = edge_form.initial(blocks, mean, variance)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    log_odds = one * math.log(eta / (1 - eta))
    prior = BernoulliGaussian(log_odds, mean[None, :, None].to(y.dtype), variance[None, :, None], shared_activity=True)
    state = message_passing.init(operator, prior.initial(1, n, all_active=True), y)
    link = torch.ones(1, n_nodes, n_nodes, 1, dtype=torch.float64)
    noise_variance = torch.full((1,), noise, dtype=torch.float64)
    for _ in range(3):
        out = edge_form.iterate(blocks, y.flatten(), *edge, mean, variance, eta, noise)
        edge = out.edge_mean, out.edge_variance
        state = message_passing.step(state, y, link, prior, noise_variance, damping=0.0)
    node = state.posterior.log_odds[0, 0].sigmoid() * state.posterior.active_mean[0, 0]
    reference = out.activity * out.active_mean[0]
    return float((node - reference).norm() / reference.norm())


@pytest.mark.parametrize("kind", [MultistaticOperator, OffGridOperator])
def test_node_form_tracks_the_edge_form(kind: type[MultistaticOperator] | type[OffGridOperator]) -> None:
    """The two differ by terms of order one over the numbers of pixels and links, which shrink as the problem grows."""
    small = [disagreement(kind, 8, 5, seed) for seed in range(4)]
    large = [disagreement(kind, 32, 12, seed) for seed in range(4)]
    assert max(large) < 0.05, large
    assert sum(large) < 0.3 * sum(small), (small, large)


def test_certain_activity_converges_to_lmmse() -> None:
    """With every pixel active the prior is Gaussian, and message passing must end at the linear MMSE estimate."""
    scenario = Scenario(n_tx=10, n_rx=10, pixels=(5, 5), pixel=0.5, sparsity=0.3, phase_std=0.0)
    scene, csi = draw(scenario, 1, torch.Generator().manual_seed(6))
    scale = dictionary_scale(scene.array, scene.grid.centre, scene.grid.pixel / 2)
    operator = MultistaticOperator.at(scene.array, scene.grid.centre, scale)
    y = csi.value / scale
    noise, mean, variance = 0.5, 0.3, 0.8
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    prior = BernoulliGaussian(one * 50.0, one.to(y.dtype) * mean, one * variance, shared_activity=True)
    state = message_passing.init(operator, prior.initial(1, 25, all_active=True), y)
    link = torch.ones(1, 10, 10, 1, dtype=torch.float64)
    for _ in range(300):
        state = message_passing.step(state, y, link, prior, torch.full((1,), noise).double(), damping=0.6)
    columns = torch.eye(25, dtype=torch.complex128).reshape(25, 1, 1, 25)
    matrix = torch.stack([operator.forward(c)[0].flatten() for c in columns], -1)
    gram = matrix.mH @ matrix / noise + torch.eye(25) / variance
    lmmse = torch.linalg.solve(gram, matrix.mH @ y.flatten() / noise + mean / variance)
    torch.testing.assert_close(state.posterior.mean[0, 0], lmmse, rtol=1e-6, atol=1e-6)


@dataclass(frozen=True)
class AntennaDelay(Record):
    """An operator of other shapes: paths with a direction and a delay each, antenna phasors times delay phasors."""

    antenna: Tensor  # [B, n, N]
    delay: Tensor  # [B, K, N]

    def forward(self, coefficients: Tensor) -> Tensor:
        return (self.antenna * coefficients) @ self.delay.mT

    def adjoint(self, observation: Tensor) -> Tensor:
        return ((observation @ self.delay.conj()) * self.antenna.conj()).sum(1, keepdim=True)

    def energy(self, variance: Tensor) -> Tensor:
        return (self.antenna.abs().square() * variance) @ self.delay.abs().square().mT

    def energy_adjoint(self, weight: Tensor) -> Tensor:
        return ((weight @ self.delay.abs().square()) * self.antenna.abs().square()).sum(1, keepdim=True)


@dataclass(frozen=True)
class Gaussian:
    """A prior that is not sparse: CN(0, variance)."""

    variance: float

    def denoise(self, estimate: Tensor, variance: Tensor) -> Posterior:
        gain = self.variance / (self.variance + variance)
        return Posterior(gain * estimate, gain * variance)


def antenna_delay() -> AntennaDelay:
    turns = 2 * math.pi * torch.rand(BATCH, 24, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return AntennaDelay(*phasor(turns).split([8, 16], dim=1))


class TestAntennaDelay(OperatorContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(antenna_delay(), (1, 12), (8, 16))


def test_any_operator_and_any_prior_end_at_the_linear_estimate() -> None:
    operator, noise, variance = antenna_delay(), 0.5, 0.8
    case = Case(operator, (1, 12), (8, 16))
    y = operator.forward(case.draw((1, 12), 1)) + noise**0.5 * case.draw((8, 16), 2)
    observed = torch.ones(BATCH, 8, 16, dtype=torch.float64)
    observed[0, 3], observed[1, 2, 5:9] = 0.0, 0.0
    start = Posterior(torch.zeros(BATCH, 1, 12, dtype=torch.complex128), torch.full((BATCH, 1, 12), variance).double())
    state = message_passing.init(operator, start, y)
    for _ in range(200):
        noise_variance = torch.full((BATCH,), noise, dtype=torch.float64)
        state = message_passing.step(state, y, observed, Gaussian(variance), noise_variance, damping=0.5)
    matrix = case.dense() * observed.flatten(1)[..., None]
    gram = matrix.mH @ matrix / noise + torch.eye(12) / variance
    lmmse = torch.linalg.solve(gram, (matrix.mH @ y.flatten(1)[..., None])[..., 0] / noise)
    torch.testing.assert_close(state.posterior.mean[:, 0], lmmse, rtol=1e-6, atol=1e-6)
