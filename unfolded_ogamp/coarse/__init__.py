"""Coarse synchronisation over the line of sight: delay profiles, and the clocks of the nodes that explain them."""

from unfolded_ogamp.coarse.delay_profile import GateSettings, earliest_arrival
from unfolded_ogamp.coarse.node_fit import align, fit_phases, laplacian, middle_offsets, score, unit
from unfolded_ogamp.coarse.pipeline import CoarseSettings, NodeClocks, subcarrier_spacing, synchronise

__all__ = [
    "CoarseSettings",
    "GateSettings",
    "NodeClocks",
    "align",
    "earliest_arrival",
    "fit_phases",
    "laplacian",
    "middle_offsets",
    "score",
    "subcarrier_spacing",
    "synchronise",
    "unit",
]
