"""Baselines: other ways to make an image, with the synchronisation of OG-AMP.

All are tuned with the same budget. `fista` and `omp` come from libraries, which the benchmark extra installs.
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
    """The baseline of a name in `BASELINES`, as tuned.

    Raises:
        ModuleNotFoundError: if it needs the benchmark extra and that is not installed.
        KeyError: if there is no such baseline.
    """
    if name == "fista":
        from unfolded_ogamp.imaging.baselines.fista import Fista

        return BaselineEstimator(Fista())
    if name == "omp":
        from unfolded_ogamp.imaging.baselines.omp import OrthogonalMatchingPursuit

        return BaselineEstimator(OrthogonalMatchingPursuit())
    return BaselineEstimator({"matched_filter": MatchedFilter, "sparse_bayesian": SparseBayesian}[name]())
