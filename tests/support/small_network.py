"""A small untrained network that runs quickly."""

from __future__ import annotations

from pathlib import Path

import torch

from unfolded_ogamp.export import export_network
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.pretrained import ExportDetails

DETAILS = ExportDetails(
    trained_on={"name": "toy", "nodes": [4, 8]},
    seed=3,
    provenance={"commit": "0123abc", "unfolded_ogamp": "0.0.9"},
    training_time=5400.0,
    measured={},
)


def small_network() -> UnfoldedOGAMP:
    """Two blocks of two layers, each with different weights."""
    network = UnfoldedOGAMP(NetworkSettings(blocks=2, layers=2))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def export_small_network(folder: Path) -> Path:
    export_network(small_network(), folder, DETAILS)
    return folder
