"""Alignment: node phases that fit the predicted channel of a model to the CSI, all else held."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.phases import refinement
from unfolded_ogamp.imaging.phases.refinement import ALIGNMENT, NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources


def phases_of(sources: Sources) -> NodePhases:
    """The node phases [B, n, 1] of sources."""
    return NodePhases.at_rest(sources.tx_phase[..., None], sources.rx_phase[..., None])


def aligned(model: Model, problem: Problem, free: Tensor) -> Sources:
    """The sources after a fit of the node phases by power iteration, (24), in the scenes `free`, bool [B]."""
    sources = model.sources
    # CSI and channel have the weights of the links
    measured = (problem.link > 0).to(problem.link)
    fitted = refinement.step(problem.csi, model.channel, measured, phases_of(sources), ALIGNMENT)
    return replace(
        sources,
        tx_phase=torch.where(free[:, None], fitted.tx[..., 0], sources.tx_phase),
        rx_phase=torch.where(free[:, None], fitted.rx[..., 0], sources.rx_phase),
    )
