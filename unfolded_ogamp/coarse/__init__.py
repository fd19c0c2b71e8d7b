"""Coarse synchronisation over the line of sight: delay profiles, and the clocks of the nodes that explain them."""

from unfolded_ogamp.coarse.delay_profile import GateSettings
from unfolded_ogamp.coarse.node_fit import align, laplacian, unit
from unfolded_ogamp.coarse.pipeline import CoarseSettings, NodeClocks, synchronise

__all__ = ["CoarseSettings", "GateSettings", "NodeClocks", "align", "laplacian", "synchronise", "unit"]
