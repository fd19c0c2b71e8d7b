"""A second system: where one transmitter is, and the phase of every node that hears it. Lengths are in wavelengths."""

# ruff: noqa: ARG001, ARG005 (it does not need all that it is handed)

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
class Heard(Record):
    node: Tensor  # [B, N, 2]
    phase: Tensor  # [B, N] of the wave and the node together, [rad]


@dataclass(frozen=True)
class Scene(Heard):  # also what is estimated; here `phase` [B, N] is of the node alone
    position: Tensor  # [B, 2] of the transmitter

    def travelled(self) -> tuple[Tensor, Tensor]:
        """Phase of the wave at every node [B, N] [rad], and its gradient over the position [B, N, 2]."""
        away = torch.nn.functional.normalize(self.position[:, None] - self.node, dim=-1)
        return 2 * torch.pi * distances(self.position[:, None], self.node)[:, 0], 2 * torch.pi * away


@dataclass(frozen=True)
class Scenario(Settings):
    name: str = "ring"
    n_nodes: Annotated[int, at_least(3)] = 12
    phase_std: Annotated[float, positive] = 0.1

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Scene, Heard]:
        angle, *place = torch.rand(3, batch, self.n_nodes, dtype=torch.float64, generator=generator)
        node = 5 * torch.stack([(2 * torch.pi * angle).cos(), (2 * torch.pi * angle).sin()], -1)
        phase = self.phase_std * torch.randn(angle.shape, dtype=torch.float64, generator=generator)
        scene = Scene(node, phase, 0.2 * torch.stack(place, -1)[:, 0] - 0.1)
        return scene, Heard(node, phase + scene.travelled()[0])


def gauss_newton(heard: Heard, steps: Tensor) -> Scene:
    scene = Scene(heard.node, heard.phase, torch.zeros_like(heard.node[:, 0]))
    for step in (*steps, None):
        wave, slope = scene.travelled()
        left = torch.remainder(heard.phase - wave + torch.pi, 2 * torch.pi) - torch.pi
        move = 0 if step is None else step * torch.linalg.lstsq(slope, left[..., None]).solution[..., 0]
        scene = Scene(heard.node, left, scene.position + move)
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

    def forward(self, heard: Heard) -> Scene:
        return gauss_newton(heard, self.step.to(heard.node.dtype))

    def curves(self) -> dict[str, Tensor]:
        return {"step": self.step.detach()}


@dataclass(frozen=True)
class Metrics:
    success: bool
    position_error: float
    position_efficiency: float


def bound(scene: Scene, index: int) -> float:
    slope = scene.travelled()[1][index].double()
    return float(scene.phase[index].std() * torch.linalg.inv(slope.T @ slope).trace().sqrt())


def score(scene: Scene, estimate: Scene, index: int, least: float) -> Metrics:
    error = float((estimate.position[index] - scene.position[index]).norm())
    return Metrics(error < 0.1, error, error / least)


def loss(network: ToyNetwork, scene: Scene, heard: Heard, settings: ToySettings, batch: int):
    error = (network(heard).position - scene.position).square().sum(-1)
    return torch.log1p(error / settings.floor**2).mean(), {"error": error.detach().mean()}


def measure(size: int, seed: int, network: ToyNetwork, on_progress) -> list[dict]:
    scene, heard = Scenario().draw(size, torch.Generator().manual_seed(seed))
    return [{"error": score(scene, network(heard), index, 1.0).position_error} for index in range(size)]


SYSTEM = System(
    name="toy",
    scenarios={"ring": Scenario(), "few": Scenario("few", n_nodes=4)},
    estimators={"gauss_newton": lambda steps=3: lambda heard: gauss_newton(heard, torch.ones(steps))},
    compared=("gauss_newton",),
    scoring=Scoring(
        inputs=lambda scene, heard: (heard,),
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
        read=lambda path: Heard(**{k: torch.from_numpy(v) for k, v in read_npz(path, ("node", "phase")).items()}),
        inputs=lambda heard: (heard,),
        describe=lambda heard: f"{heard.node.shape[1]} nodes",
        report=lambda heard, estimate, notes: [f"at {estimate.position[0].tolist()}"],
        write=lambda path, scene, heard: write_npz(path, {"node": heard.node.numpy(), "phase": heard.phase.numpy()}),
        write_estimate=lambda path, estimate, heard, origin: write_npz(
            path, {"position": estimate.position.numpy()} | {key: np.array(text) for key, text in origin.items()}
        ),
        picture=lambda heard, estimate: Figure(),
    ),
    study=lambda: {"error": StudyFigure({"tiny": 4}, measure, lambda rows: markdown(["n"], [[str(len(rows))]]))},
)
