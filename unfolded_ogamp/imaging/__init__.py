"""Imaging: off-grid positions of scatterers and the phase of every node, from the CSI of a distributed array.

These names are what most programs need. The figures need matplotlib, which is imported when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unfolded_ogamp.imaging.estimate import Estimate, Estimator, Scatterers
from unfolded_ogamp.imaging.files.arrays import CsiFile, from_arrays
from unfolded_ogamp.imaging.files.csi import load_csi, save_csi
from unfolded_ogamp.imaging.files.estimate import save_estimate
from unfolded_ogamp.imaging.files.fresnel import fresnel_arrays
from unfolded_ogamp.imaging.files.sionna import sionna_arrays
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.scenes.named import SCENARIOS
from unfolded_ogamp.imaging.scenes.scenario import Scenario

if TYPE_CHECKING:
    from unfolded_ogamp.imaging.figures.comparison import comparison_figure
    from unfolded_ogamp.imaging.figures.overview import estimate_figure

__all__ = [
    "PRESETS",
    "SCENARIOS",
    "AlternatingEstimator",
    "CsiFile",
    "Estimate",
    "Estimator",
    "GreedyEstimator",
    "GreedySettings",
    "NetworkSettings",
    "Scatterers",
    "Scenario",
    "UnfoldedOGAMP",
    "comparison_figure",
    "estimate_figure",
    "fresnel_arrays",
    "from_arrays",
    "load_csi",
    "save_csi",
    "save_estimate",
    "sionna_arrays",
]


def __getattr__(name: str) -> Any:
    """The figures.

    Raises:
        AttributeError: if there is no such name.
        ModuleNotFoundError: if matplotlib is not installed.
    """
    if name == "comparison_figure":
        from unfolded_ogamp.imaging.figures.comparison import comparison_figure

        return comparison_figure
    if name == "estimate_figure":
        from unfolded_ogamp.imaging.figures.overview import estimate_figure

        return estimate_figure
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
