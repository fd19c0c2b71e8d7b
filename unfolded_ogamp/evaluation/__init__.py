"""How good an estimate is: metrics, bounds and comparisons. Figures and reports are imported where they are needed."""

from unfolded_ogamp.evaluation.bayesian_bound import Prior, bayesian_joint_bound
from unfolded_ogamp.evaluation.bounds import Bound, fisher_information, gauge_directions, joint_bound
from unfolded_ogamp.evaluation.compare import (
    METRICS,
    Row,
    Statistic,
    Summary,
    compare,
    statistic_of,
    summarise,
    wilson_interval,
)
from unfolded_ogamp.evaluation.metrics import (
    SceneMetrics,
    chamfer_distance,
    gospa_distance,
    match,
    matched_estimates,
    node_phase_error,
    pairwise_distance,
    phase_error,
    roi_diagonal,
    scene_metrics,
)
from unfolded_ogamp.evaluation.off_grid_floor import off_grid_scaling_law, off_grid_variance
from unfolded_ogamp.evaluation.paper_bounds import PaperBound, PhaseBound, paper_phase_bound

__all__ = [
    "METRICS",
    "Bound",
    "PaperBound",
    "PhaseBound",
    "Prior",
    "Row",
    "SceneMetrics",
    "Statistic",
    "Summary",
    "bayesian_joint_bound",
    "chamfer_distance",
    "compare",
    "fisher_information",
    "gauge_directions",
    "gospa_distance",
    "joint_bound",
    "match",
    "matched_estimates",
    "node_phase_error",
    "off_grid_scaling_law",
    "off_grid_variance",
    "pairwise_distance",
    "paper_phase_bound",
    "phase_error",
    "roi_diagonal",
    "scene_metrics",
    "statistic_of",
    "summarise",
    "wilson_interval",
]
