"""Label-free adaptation: a network tuned to one measurement by what it leaves of that unexplained."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from unfolded_ogamp.networks.unfolded import UnfoldedOGAMP
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid


@dataclass(frozen=True)
class AdaptationSettings:
    """How a network is adapted.

    Attributes:
        steps: gradient steps.
        learning_rate: of Adam.
    """

    steps: int = 5
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")


def adapted(
    network: UnfoldedOGAMP, csi: Csi, array: NodeArray, grid: PixelGrid, settings: AdaptationSettings
) -> UnfoldedOGAMP:
    """A copy of the network whose layers leave less of this CSI unexplained; the competition, which has to tell what
    is real, is left as it is.

    The logarithm of the residual after the imaging blocks and the first joint refinement is lowered, averaged over the
    scenes. The copy with the lowest one is kept, so that no step makes it worse.
    """
    with torch.inference_mode(False):
        copied = copy.deepcopy(network)
        tuned = [*copied.blocks.parameters(), *copied.refinement.parameters()]
        for parameter in tuned:
            parameter.requires_grad_()
        posed = copied.pose(csi, array, grid)
        optimiser = torch.optim.Adam(tuned, lr=settings.learning_rate)
        best, kept = float("inf"), copied.state_dict()
        for step in range(settings.steps + 1):
            *_, state = copied.states(posed.problem, posed.atlas, posed.phases)
            loss = copied.refinement(state, posed.problem, posed.atlas).cost.log().mean()
            if float(loss.detach()) < best:
                best = float(loss.detach())
                kept = {name: value.detach().clone() for name, value in copied.state_dict().items()}
            if step == settings.steps or not bool(torch.isfinite(loss)):
                break
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(tuned, 1.0)
            if all(bool(torch.isfinite(p.grad).all()) for p in tuned if p.grad is not None):
                optimiser.step()
        copied.load_state_dict(kept)
    return copied.eval().requires_grad_(False)
