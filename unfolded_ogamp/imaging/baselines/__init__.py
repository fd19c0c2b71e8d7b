"""What else there is for the same task: other ways to make an image, with the synchronisation of OG-AMP.

They are rivals to compare with, tuned alike. `fista` and `omp` come from libraries, which the benchmark extra installs.
"""

from __future__ import annotations

from unfolded_ogamp.imaging.baselines.alternation import AlternationSettings, Imager, RivalEstimator
from unfolded_ogamp.imaging.baselines.matched_filter import MatchedFilter
from unfolded_ogamp.imaging.baselines.sparse_bayesian import SparseBayesian

RIVALS = ("fista", "omp", "matched_filter", "sparse_bayesian")

__all__ = [
    "RIVALS",
    "AlternationSettings",
    "Imager",
    "MatchedFilter",
    "RivalEstimator",
    "SparseBayesian",
    "build_rival",
]


def build_rival(name: str) -> RivalEstimator:
    """The rival of a name in `RIVALS`, as tuned.

    Raises:
        ModuleNotFoundError: if it needs the benchmark extra and that is not installed.
        KeyError: if there is no such rival.
    """
    if name == "fista":
        from unfolded_ogamp.imaging.baselines.fista import Fista

        return RivalEstimator(Fista())
    if name == "omp":
        from unfolded_ogamp.imaging.baselines.omp import OrthogonalMatchingPursuit

        return RivalEstimator(OrthogonalMatchingPursuit())
    return RivalEstimator({"matched_filter": MatchedFilter, "sparse_bayesian": SparseBayesian}[name]())
