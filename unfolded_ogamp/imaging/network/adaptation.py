"""Label-free adaptation: a network tuned to one measurement by what it leaves of that unexplained."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.model import power
from unfolded_ogamp.imaging.network.unfolded import Posed, UnfoldedOGAMP
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid
from unfolded_ogamp.settings import Settings, at_least, positive


@dataclass(frozen=True)
class AdaptationSettings(Settings):
    """How a network is adapted.

    Attributes:
        steps: gradient steps.
        learning_rate: of Adam.
    """

    steps: Annotated[int, at_least(1)] = 10
    learning_rate: Annotated[float, positive] = 0.01


@dataclass(frozen=True)
class Adapted:
    """What adaptation came to.

    Attributes:
        network: the tuned copy.
        before, after: share of the power of the CSI that the layers leave unexplained, of the network and of the copy.
    """

    network: UnfoldedOGAMP
    before: float
    after: float


def adapted(
    network: UnfoldedOGAMP, csi: Csi, array: NodeArray, grid: PixelGrid, settings: AdaptationSettings
) -> Adapted:
    """A copy of the network whose layers leave less of this CSI unexplained.

    What all imaging blocks and the first joint refinement leave is lowered, by its logarithm, and the copy with the
    lowest is kept. That is no promise for the estimate, as scenes that are settled leave earlier. The competition,
    which has to tell what is real, is left as it is.

    Raises:
        ValueError: if it is the CSI of more than one scene, which would share the weights and not the mismatch.
    """
    if len(csi.value) != 1:
        raise ValueError(f"adaptation is to the CSI of one scene, got {len(csi.value)}")
    with torch.inference_mode(False):
        copied = copy.deepcopy(network)
        tuned = [*copied.blocks.parameters(), *copied.refinement.parameters()]
        for parameter in tuned:
            parameter.requires_grad_()
        # tensors that were made in inference mode cannot be saved for a gradient, their copies can
        posed = copied.pose(csi.map(torch.clone), array.map(torch.clone), grid.map(torch.clone))
        optimiser = torch.optim.Adam(tuned, lr=settings.learning_rate)
        shares, best, kept = [], float("inf"), copied.state_dict()
        for step in range(settings.steps + 1):
            share = residual_share(copied, posed)
            shares.append(float(share.detach()))
            if shares[-1] < best:
                best = shares[-1]
                kept = {name: value.detach().clone() for name, value in copied.state_dict().items()}
            loss = share.log()
            if step == settings.steps or not bool(torch.isfinite(loss)):
                break
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(tuned, 1.0)
            if all(bool(torch.isfinite(p.grad).all()) for p in tuned if p.grad is not None):
                optimiser.step()
        copied.load_state_dict(kept)
    return Adapted(copied.eval().requires_grad_(False), before=shares[0], after=best)


def residual_share(network: UnfoldedOGAMP, posed: Posed) -> Tensor:
    """Share of the power of the CSI of one scene that all blocks and the first joint refinement leave: scalar."""
    *_, state = network.states(posed.problem, posed.search_grid, posed.phases)
    left = network.refinement(state, posed.problem, posed.search_grid).model.cost
    return (left / power(posed.problem.csi))[0]


@dataclass(frozen=True)
class AdaptedEstimator:
    """A network that is adapted to every measurement anew, one scene at a time, before it estimates.

    Attributes:
        network: what every adaptation starts from.
        settings: of the adaptation.
    """

    network: UnfoldedOGAMP
    settings: AdaptationSettings

    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        estimate: Estimate = adapted(self.network, csi, array, grid, self.settings).network(csi, array, grid)
        return estimate
