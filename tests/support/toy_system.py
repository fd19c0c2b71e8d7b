"""A second system: position of a transmitter, and phases of the receiving nodes. Lengths are in wavelengths."""

# ruff: noqa: ARG001, ARG005 (not every function needs all its arguments)

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from unfolded_ogamp.evaluation.scoring import Scoring
from unfolded_ogamp.evaluation.tables import Column, markdown
from unfolded_ogamp.files import read_npz, write_npz
from unfolded_ogamp.physics import distances
from unfolded_ogamp.records import Record
from unfolded_ogamp.settings import Settings, at_least, positive
from unfolded_ogamp.system import Files, Learning, Network, StudyFigure, System


@dataclass(frozen=True)
class Phases(Record):
    node: Tensor  # [B, N, 2]
    phase: Tensor  # [B, N] of the wave and the node together, [rad]


@dataclass(frozen=True)
class Scene(Phases):  # also the type of an estimate; here `phase` [B, N] is of the node alone
    position: Tensor  # [B, 2] of the transmitter

    def wave(self) -> tuple[Tensor, Tensor]:
        """Phase of the wave at every node [B, N] [rad], and its gradient over the position [B, N, 2]."""
        away = torch.nn.functional.normalize(self.position[:, None] - self.node, dim=-1)
        return 2 * torch.pi * distances(self.position[:, None], self.node)[:, 0], 2 * torch.pi * away


@dataclass(frozen=True)
class Scenario(Settings):
    name: str = "ring"
    n_nodes: Annotated[int, at_least(3)] = 12
    phase_std: Annotated[float, positive] = 0.1

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Scene, Phases]:
        angle, *place = torch.rand(3, batch, self.n_nodes, dtype=torch.float64, generator=generator)
        node = 5 * torch.stack([(2 * torch.pi * angle).cos(), (2 * torch.pi * angle).sin()], -1)
        phase = self.phase_std * torch.randn(angle.shape, dtype=torch.float64, generator=generator)
        scene = Scene(node, phase, 0.2 * torch.stack(place, -1)[:, 0] - 0.1)
        return scene, Phases(node, phase + scene.wave()[0])


def gauss_newton(phases: Phases, steps: Tensor) -> Scene:
    scene = Scene(phases.node, phases.phase, torch.zeros_like(phases.node[:, 0]))
    for step in (*steps, None):
        wave, slope = scene.wave()
        left = torch.remainder(phases.phase - wave + torch.pi, 2 * torch.pi) - torch.pi
        move = 0 if step is None else step * torch.linalg.lstsq(slope, left[..., None]).solution[..., 0]
        scene = Scene(phases.node, left, scene.position + move)
    return scene


@dataclass(frozen=True)
class ToySettings(Settings):
    layers: Annotated[int, at_least(1)] = 3
    floor: Annotated[float, positive] = 1e-3  # of the loss


class ToyNetwork(Network):
    system = "toy"

    def __init__(self, settings: ToySettings) -> None:
        super().__init__()
        self.settings, self.step = settings, nn.Parameter(torch.ones(settings.layers))

    def forward(self, phases: Phases) -> Scene:
        return gauss_newton(phases, self.step.to(phases.node.dtype))

    def curves(self) -> dict[str, Tensor]:
        return {"step": self.step.detach()}


@dataclass(frozen=True)
class Metrics:
    success: bool
    position_error: float
    position_efficiency: float


def bound(scene: Scene, index: int) -> float:
    slope = scene.wave()[1][index].double()
    return float(scene.phase[index].std() * torch.linalg.inv(slope.T @ slope).trace().sqrt())


def score(scene: Scene, estimate: Scene, index: int, least: float) -> Metrics:
    error = float((estimate.position[index] - scene.position[index]).norm())
    return Metrics(error < 0.1, error, error / least)


def loss(network: ToyNetwork, scene: Scene, phases: Phases, settings: ToySettings, batch: int):
    error = (network(phases).position - scene.position).square().sum(-1)
    return torch.log1p(error / settings.floor**2).mean(), {"error": error.detach().mean()}


def measure(size: int, seed: int, network: ToyNetwork, on_progress) -> list[dict]:
    scene, phases = Scenario().draw(size, torch.Generator().manual_seed(seed))
    return [{"error": score(scene, network(phases), index, 1.0).position_error} for index in range(size)]


SYSTEM = System(
    name="toy",
    scenarios={"ring": Scenario(), "few": Scenario("few", n_nodes=4)},
    estimators={"gauss_newton": lambda steps=3: lambda phases: gauss_newton(phases, torch.ones(steps))},
    compared=("gauss_newton",),
    scoring=Scoring(
        inputs=lambda scene, phases: (phases,),
        bound=bound,
        score=score,
        columns={"success": Column("success", "%", 100, 1), "position_error": Column("position error", "", 1, 4)},
        shown=("success",),
        on_card=("position_error", "time"),
    ),
    learning=Learning(
        ToySettings, ToyNetwork, ToySettings, loss, "gauss_newton", ("position_error",), lambda _: ["# Toy"]
    ),
    files=Files(
        read=lambda path: Phases(**{k: torch.from_numpy(v) for k, v in read_npz(path, ("node", "phase")).items()}),
        inputs=lambda phases: (phases,),
        describe=lambda phases: f"{phases.node.shape[1]} nodes",
        report=lambda phases, estimate, notes: [f"at {estimate.position[0].tolist()}"],
        write=lambda path, scene, phases: write_npz(path, {"node": phases.node.numpy(), "phase": phases.phase.numpy()}),
        write_estimate=lambda path, estimate, phases, origin: write_npz(
            path, {"position": estimate.position.numpy()} | {key: np.array(text) for key, text in origin.items()}
        ),
        picture=lambda phases, estimate: Figure(),
    ),
    study=lambda: {"error": StudyFigure({"tiny": 4}, measure, lambda rows: markdown(["n"], [[str(len(rows))]]))},
)
