"""The classic estimators of imaging by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.imaging.baselines import BASELINES, build_baseline
from unfolded_ogamp.imaging.estimate import Estimator
from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS

BENCHMARK_EXTRA = ("pylops", "pyproximal")


def alternating(preset: str) -> Callable[[int | None], Estimator]:
    """A builder of the estimator of a preset."""

    def build(blocks: int | None = None) -> Estimator:
        """With a largest number of alternations; None leaves it to the preset."""
        settings = PRESETS[preset]()
        return AlternatingEstimator(settings if blocks is None else replace(settings, blocks=blocks))

    return build


def baseline(name: str) -> Estimator:
    """The baseline of a name.

    Raises:
        InputError: if it needs the benchmark extra and that is not installed.
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
    "greedy": lambda: GreedyEstimator(),
    **{name: partial(baseline, name) for name in BASELINES},
}
