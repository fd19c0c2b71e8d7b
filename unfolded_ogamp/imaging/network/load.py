"""Load the network for the commands of imaging."""

from __future__ import annotations

from pathlib import Path

from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.pretrained import SHIPPED, load_pretrained


def load_network(folder: Path | None) -> UnfoldedOGAMP:
    """The network of a folder; None loads the shipped one.

    Raises:
        PretrainedError: if the folder holds no network of imaging.
    """
    network = load_pretrained(SHIPPED if folder is None else folder, UnfoldedOGAMP.system)
    assert isinstance(network, UnfoldedOGAMP)
    return network
