"""The classic estimators of imaging by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.imaging.baselines import BASELINES, build_baseline
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.greedy.persistence import Budget
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.pretrained import SHIPPED, load_pretrained

BENCHMARK_EXTRA = ("pylops", "pyproximal")


def alternating(preset: str) -> Callable[[int | None], Estimator]:
    """A function that builds the estimator of a preset."""

    def build(blocks: int | None = None) -> Estimator:
        """Build it with at most `blocks` alternations; None uses the number of the preset."""
        settings = PRESETS[preset]()
        return AlternatingEstimator(settings if blocks is None else replace(settings, blocks=blocks))

    return build


def greedy(budget: float = 60.0) -> Estimator:
    """The greedy estimator with a budget of time for every scene, [s]."""
    return GreedyEstimator(budget=Budget(seconds=budget))


def baseline(name: str) -> Estimator:
    """The baseline of this name.

    Raises:
        InputError: if the baseline needs the benchmark extra, which is not installed.
    """
    try:
        return build_baseline(name)
    except ModuleNotFoundError as error:
        if error.name not in BENCHMARK_EXTRA:
            raise
        raise InputError(
            f"expected the benchmark extra (pip install unfolded_ogamp[benchmark]), found no {error.name}"
        ) from error


CLASSIC: dict[str, Callable[..., Estimator]] = {
    **{name: alternating(name) for name in PRESETS},
    "greedy": greedy,
    **{name: partial(baseline, name) for name in BASELINES},
}


def load_network(folder: Path | None) -> UnfoldedOGAMP:
    """The network of a folder; None loads the shipped one.

    Raises:
        PretrainedError: if the folder holds no network of imaging.
    """
    network = load_pretrained(SHIPPED if folder is None else folder, UnfoldedOGAMP.system)
    assert isinstance(network, UnfoldedOGAMP)
    return network
