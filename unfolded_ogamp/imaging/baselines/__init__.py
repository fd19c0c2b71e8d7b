"""Baselines: other imaging methods, in alternation with the synchronisation of OG-AMP.

All are tuned with the same budget. `fista` and `omp` use libraries that the benchmark extra installs.
"""

from __future__ import annotations

from unfolded_ogamp.imaging.baselines.alternation import AlternationSettings, BaselineEstimator, Imager
from unfolded_ogamp.imaging.baselines.matched_filter import MatchedFilter
from unfolded_ogamp.imaging.baselines.sparse_bayesian import SparseBayesian

BASELINES = ("fista", "omp", "matched_filter", "sparse_bayesian")

__all__ = [
    "BASELINES",
    "AlternationSettings",
    "BaselineEstimator",
    "Imager",
    "MatchedFilter",
    "SparseBayesian",
    "build_baseline",
]


def build_baseline(name: str) -> BaselineEstimator:
    """The tuned baseline with a name in `BASELINES`.

    Raises:
        ModuleNotFoundError: if the baseline needs the benchmark extra, which is not installed.
        KeyError: if there is no baseline of this name.
    """
    if name == "fista":
        from unfolded_ogamp.imaging.baselines.fista import Fista

        return BaselineEstimator(Fista())
    if name == "omp":
        from unfolded_ogamp.imaging.baselines.omp import OrthogonalMatchingPursuit

        return BaselineEstimator(OrthogonalMatchingPursuit())
    return BaselineEstimator({"matched_filter": MatchedFilter, "sparse_bayesian": SparseBayesian}[name]())
