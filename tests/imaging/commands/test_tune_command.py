"""The search for settings: what it draws, how it scores, and what it refuses."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hand_made import CONFIDENCE
from omegaconf import OmegaConf
from places import CONF
from run_script import run_script

from unfolded_ogamp.catalogue import build_estimator, parse_entry
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.imaging.baselines.alternation import BaselineEstimator
from unfolded_ogamp.imaging.baselines.matched_filter import MatchedFilter
from unfolded_ogamp.imaging.commands.tune import Range, score, value_at, with_value
from unfolded_ogamp.imaging.score import SceneMetrics
from unfolded_ogamp.imaging.system import SYSTEM
from unfolded_ogamp.settings import SettingsError

RANGES = OmegaConf.load(CONF / "tune.yaml").ranges
METRICS = SceneMetrics(
    **CONFIDENCE,
    n_true=3,
    n_estimated=3,
    missed=0,
    false=0,
    success=True,
    position_rmse=0.01,
    position_efficiency=1.0,
    phase_rmse=0.1,
    phase_efficiency=1.0,
    chamfer=0.02,
    chamfer_squared=0.001,
    gospa=0.0,
    channel_nmse_db=-20.0,
    residual=1.0,
    position_inside_50=0.5,
    position_inside_90=0.9,
    position_inside_99=1.0,
    phase_inside_50=0.5,
    phase_inside_90=0.9,
    phase_inside_99=1.0,
)


def test_score_is_mean_log_error_plus_ten_times_the_failures():
    failed = replace(METRICS, success=False, chamfer=1.0, phase_rmse=1.0)
    assert score([METRICS]) == pytest.approx(math.log(0.02) + math.log(0.1))
    assert score([METRICS, failed]) == pytest.approx((score([METRICS]) + 10) / 2)


def test_a_range_is_even_in_its_value_or_in_its_logarithm():
    assert [Range(1.0, 9.0).at(share) for share in (0.0, 0.5, 1.0)] == [1.0, 5.0, 9.0]
    assert [Range(1.0, 9.0, log=True).at(share) for share in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 3.0, 9.0])
    with pytest.raises(SettingsError, match=r"low must be positive with log, got 0\.0"):
        Range(0.0, 1.0, log=True)


def test_a_value_reaches_its_field_and_no_other():
    estimator = BaselineEstimator(MatchedFilter())
    changed = with_value(estimator, "settings.synchronisation.phase_step", 1.2)
    assert value_at(changed, "settings.synchronisation.phase_step") == 1.2
    assert with_value(changed, "settings.synchronisation.phase_step", 1.7) == estimator
    with pytest.raises(InputError, match=r"expected the path of a setting, found 'imager\.depth'"):
        value_at(estimator, "imager.depth")


@pytest.mark.parametrize("name", RANGES)
def test_shipped_ranges_hold_the_settings_as_they_are(name):
    if name in ("fista", "omp"):
        pytest.importorskip("pyproximal", reason="the benchmark extra is not installed")
    estimator = build_estimator(SYSTEM, parse_entry(name))
    for path, limits in RANGES[name].items():
        assert limits.low <= value_at(estimator, path) <= limits.high


def test_table_has_the_estimator_as_it_is_and_every_draw_best_first(capfd):
    assert run_script("tune", "estimator=matched_filter", "scenario=toy", "n_draws=2", "n_scenes=1") == 0
    lines = capfd.readouterr().out.splitlines()
    tried = [float(line.split()[0]) for line in lines[:3]]
    default = MatchedFilter()
    assert f"imager.threshold={default.threshold:.4g}" in lines[0]
    in_table = [float(match[1]) for line in lines[3:] if (match := re.match(r" *(-?\d+\.\d{3}) ", line))]
    assert in_table == sorted(tried)


REFUSED = {
    "estimator": ("estimator=moon", "estimator: expected one with ranges, fista, omp, "),
    "draws": ("n_draws=0", "n_draws must be at least 1, got 0"),
    "path": ("+ranges.matched_filter.moon={low: 1.0, high: 2.0}", "ranges: expected the path of a setting, found"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case, capfd):
    argument, message = REFUSED[case]
    assert run_script("tune", "estimator=matched_filter", "n_scenes=1", argument) == 2
    output, error = capfd.readouterr()
    assert output == ""
    assert error.startswith(message)
    assert error.count("\n") == 1
