"""Label-free adaptation: fine-tune a network to one measurement by minimising its residual."""

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
    """Settings of the adaptation.

    Attributes:
        steps: number of gradient steps.
        learning_rate: learning rate of Adam.
    """

    steps: Annotated[int, at_least(1)] = 10
    learning_rate: Annotated[float, positive] = 0.01


@dataclass(frozen=True)
class Adapted:
    """Result of an adaptation.

    Attributes:
        network: the tuned copy.
        before, after: power of the residual over that of the CSI, of the network and of the copy.
    """

    network: UnfoldedOGAMP
    before: float
    after: float


def adapted(
    network: UnfoldedOGAMP, csi: Csi, array: NodeArray, grid: PixelGrid, settings: AdaptationSettings
) -> Adapted:
    """A copy of the network with a smaller residual on this CSI.

    The loss is the logarithm of the residual after all imaging blocks and the first joint refinement. The copy with the
    lowest loss is kept. Its estimate need not be better, since scenes whose residual is consistent with the noise skip
    blocks. The competition is not adapted, because it does not affect this residual.

    Raises:
        ValueError: if `csi` holds more than one scene: scenes would share the weights but not the mismatch.
    """
    if len(csi.value) != 1:
        raise ValueError(f"adaptation is to the CSI of one scene, got {len(csi.value)}")
    with torch.inference_mode(False):
        copied = copy.deepcopy(network)
        tuned = [*copied.blocks.parameters(), *copied.refinement.parameters()]
        for parameter in tuned:
            parameter.requires_grad_()
        # tensors from inference mode cannot be saved for a gradient, but copies can
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
    """Residual power after all blocks and the first joint refinement over the power of the CSI, for one scene."""
    *_, state = network.states(posed.problem, posed.search_grid, posed.phases)
    left = network.refinement(state, posed.problem, posed.search_grid).model.cost
    return (left / power(posed.problem.csi))[0]


@dataclass(frozen=True)
class AdaptedEstimator:
    """A network that is adapted to every measurement, one scene at a time, before it estimates.

    Attributes:
        network: start of every adaptation.
        settings: settings of the adaptation.
    """

    network: UnfoldedOGAMP
    settings: AdaptationSettings

    def __call__(self, csi: Csi, array: NodeArray, grid: PixelGrid) -> Estimate:
        estimate: Estimate = adapted(self.network, csi, array, grid, self.settings).network(csi, array, grid)
        return estimate
