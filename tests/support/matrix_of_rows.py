"""Invented rows of a comparison: three networks on two scenarios, four scenes each."""

from __future__ import annotations

import math

from hand_made import CONFIDENCE

from unfolded_ogamp.evaluation.compare import Row
from unfolded_ogamp.imaging.score import SceneMetrics

SUCCESSES = {("a", "a"): 4, ("a", "b"): 3, ("b", "a"): 2, ("b", "b"): 4, ("mixture", "a"): 0, ("mixture", "b"): 1}
OVER_BOUND = {
    **{("a", "a"): 1.1, ("a", "b"): 3.0, ("b", "a"): 1.2, ("b", "b"): 1.0},
    **{("mixture", "a"): math.nan, ("mixture", "b"): 1.5},
}


def matrix_of_rows() -> list[Row]:
    """(network, scenario) has `SUCCESSES` successes, and `OVER_BOUND` in all scenes but one, where it is far off."""
    return [
        Row(scenario, scene, network, _metrics(scene < count, OVER_BOUND[network, scenario], scene == 0), 1.0, 4, 1)
        for (network, scenario), count in SUCCESSES.items()
        for scene in range(4)
    ]


def _metrics(success: bool, over_bound: float, far_off: bool) -> SceneMetrics:
    position, rest = (
        (0.001, (10 if far_off else 1) * over_bound),
        (0.1, 1.0, 0.002, 4e-6, 0.1, -30.0, 1.0, *6 * (0.5,)),
    )
    return SceneMetrics(3, 3, int(not success), int(not success), success, *position, *rest, **CONFIDENCE)
