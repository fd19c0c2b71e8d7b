"""Values that the fields of settings must refuse, written by hand, so that a removed check fails a test."""

from __future__ import annotations

import math
from typing import Any

FREE = ()  # any value of the type
POSITIVE, NOT_NEGATIVE = (0.0, -1.0), (-1e-9,)
COUNT, COUNT_OR_NONE = (0, -1), (-1,)
BETWEEN = (0.0, 1.0)  # strictly
SHARE = (0.0, 1.01)  # of something that is there
OPEN_SHARE = (-0.01, 1.0)  # none, but not all
PROBABILITY = (-0.01, 1.01)

# Values of the right type that a field must refuse.
REFUSED: dict[str, dict[str, tuple[Any, ...]]] = {
    "AdaptationSettings": {"steps": COUNT, "learning_rate": POSITIVE},
    "AlternatingSettings": {
        **dict.fromkeys(("blocks", "iterations"), COUNT),
        **dict.fromkeys(("tolerance", "phase_tolerance", "largest_rise"), NOT_NEGATIVE),
        "search_blocks": COUNT_OR_NONE,
        **dict.fromkeys(("imaging", "synchronisation", "listing", "warm_start", "unit_reflectivity"), FREE),
    },
    "AlternationSettings": {
        "rounds": (*COUNT, 4),
        "search_rounds": (*COUNT, 61),
        "phase_tolerance": NOT_NEGATIVE,
        "false_alarm": SHARE,
        **dict.fromkeys(("synchronisation", "listing"), FREE),
    },
    "AutofocusSettings": {
        **dict.fromkeys(("spacing", "tolerance"), POSITIVE),
        **dict.fromkeys(("steps", "alignment_iterations"), COUNT),
        "phase_step": (0.0, 2.0),
        "momentum": OPEN_SHARE,
    },
    "Budget": {"seconds": POSITIVE, "starts": COUNT, "report": FREE},
    "CoarseSettings": {"steps": COUNT_OR_NONE, "gate": FREE},
    "Component": {"weight": POSITIVE, "scenario": FREE, "ranges": ({"moon": (0, 1)}, {"nodes": (4.5, 6)})},
    "AdaptationStudy": {
        "n_scenes": COUNT,
        "seed": COUNT_OR_NONE,
        "device": ("moon",),
        **dict.fromkeys(("fallback", "adaptation"), FREE),
    },
    "DataSettings": {
        **dict.fromkeys(("batch_size", "batches_per_epoch", "validation_batches"), COUNT),
        **dict.fromkeys(("seed", "workers"), COUNT_OR_NONE),
    },
    "CalibrationSettings": {
        **dict.fromkeys(("spacing", "separation", "merge_radius", "samples", "tolerance", "largest_move"), POSITIVE),
        **dict.fromkeys(("false_alarm", "share"), SHARE),
        **dict.fromkeys(("rounds", "phase_count", "node_count", "round_steps", "steps", "updates"), COUNT),
        "close_rounds": (-1,),
        "jitter": POSITIVE,
        "autofocus": FREE,
    },
    "Clusters": {
        "count": COUNT,
        "points": (1, 0),
        **dict.fromkeys(("smallest", "largest"), POSITIVE),
        "strength": SHARE,
    },
    "DetectionSettings": {
        **dict.fromkeys(("spacing", "separation", "merge_radius"), POSITIVE),
        **dict.fromkeys(("false_alarm", "share"), SHARE),
    },
    "EstimationSettings": {"adapt": COUNT_OR_NONE, "synchronise": FREE, "budget": POSITIVE},
    "EvaluationSettings": {"n_scenes": COUNT, "batch_size": COUNT, "seed": COUNT_OR_NONE, "device": ("moon",)},
    "Fista": {
        "penalty": SHARE,
        **dict.fromkeys(("offset_scale", "largest_move"), POSITIVE),
        **dict.fromkeys(("iterations", "oversampling"), COUNT),
    },
    "GateSettings": {"share": BETWEEN, "false_alarm": BETWEEN, "span": NOT_NEGATIVE, "width": COUNT},
    "Extended": {"points": COUNT, **dict.fromkeys(("smallest", "largest"), POSITIVE)},
    "LinkGains": dict.fromkeys(("gain_std", "phase_std"), NOT_NEGATIVE),
    "LossExponent": {"exponent": POSITIVE},
    "NodePrior": dict.fromkeys(("node_std", "gain_std", "moment_std"), NOT_NEGATIVE),
    "Nodes": dict.fromkeys(("position_std", "gain_std"), NOT_NEGATIVE),
    "Occluded": {"share": OPEN_SHARE},
    "OutlierLinks": {"share": OPEN_SHARE, "amplitude": POSITIVE},
    "Wall": {"distance": POSITIVE, "coefficient": (-1.0, 1.0)},
    "GreedySettings": {"rounds": COUNT, **dict.fromkeys(("detection", "step", "restarts", "calibration"), FREE)},
    "ImagingSettings": {
        "sparsity": BETWEEN,
        "damping": OPEN_SHARE,
        **dict.fromkeys(("reflectivity_std", "offset_std", "noise_share", "recentring_step", "offset_limit"), POSITIVE),
        "recentre_every": COUNT_OR_NONE,
        "oversampling": COUNT,
        "reflectivity_mean": FREE,
        **dict.fromkeys(("off_grid", "shared_activity", "known_noise", "adapt_prior", "all_active"), FREE),
    },
    "ListSettings": {
        "threshold": BETWEEN,
        **dict.fromkeys(("merge_radius", "shadow_radius", "shadow_ratio"), NOT_NEGATIVE),
    },
    "LossSettings": {
        **dict.fromkeys(("growth", "phase_floor", "position_floor", "gate", "saturation"), POSITIVE),
        **dict.fromkeys(("phase", "position", "detection", "false_alarm", "refinement", "competition"), NOT_NEGATIVE),
    },
    "MatchedFilter": {"spacing": POSITIVE, "threshold": POSITIVE},
    "Mixture": {"components": ((),), "name": FREE},
    "NetworkSettings": {
        **dict.fromkeys(("layers", "additions", "joint_layers", "final_layers", "starts"), COUNT),
        **dict.fromkeys(("detection_passes", "prunings", "width"), COUNT_OR_NONE),
        "blocks": (*COUNT, 1),
        "first_exit": (*COUNT, 9),
        "false_alarms": SHARE,
        **dict.fromkeys(("fallback", "imaging", "synchronisation", "screening", "greedy"), FREE),
    },
    "OptimiserSettings": {"learning_rate": POSITIVE, "warm_up": COUNT_OR_NONE, "final": SHARE},
    "OrthogonalMatchingPursuit": {
        **dict.fromkeys(("spacing", "largest_move"), POSITIVE),
        "false_alarm": SHARE,
        "solver_iterations": COUNT,
        "listing": FREE,
    },
    "OvershootSettings": {
        **dict.fromkeys(("spacing", "separation", "undecided", "largest_move"), POSITIVE),
        **dict.fromkeys(("jitter", "hidden"), NOT_NEGATIVE),
        "starts": (*COUNT, 1),
        **dict.fromkeys(("phase_count", "per_peak", "steps", "kept", "final_steps", "swapped"), COUNT),
        **dict.fromkeys(("extra", "cycles"), COUNT_OR_NONE),
        **dict.fromkeys(("saturation", "filled", "progress"), SHARE),
        "autofocus": FREE,
    },
    "Prior": dict.fromkeys(("phase_std", "pixel", "reflectivity_std"), (*POSITIVE, math.nan)),
    "Range": {"low": (3.0,), "high": (0.5,), "log": FREE},
    "Recipe": dict.fromkeys(("network", "loss", "optimiser", "data", "run"), FREE),
    "RestartSettings": {
        **dict.fromkeys(("focus_gain", "jitter"), POSITIVE),
        "together": COUNT,
        "seed": COUNT_OR_NONE,
        "autofocus": FREE,
    },
    "RunSettings": {
        "epochs": COUNT,
        "clip": POSITIVE,
        "averaging": OPEN_SHARE,
        "resume": ("nowhere.ckpt",),
        **dict.fromkeys(("output", "accelerator", "devices"), FREE),
    },
    "Scenario": {
        **dict.fromkeys(("n_tx", "n_rx", "n_subcarriers"), COUNT),
        "pixels": ((5,), (5, 0), (5, 5, 5, 5)),
        "node_radius": ((1.2, 1.0), (0.5, 1.0)),
        "room": ((5.0, 6.0), (6.0,)),
        **dict.fromkeys(("pixel", "carrier_frequency", "subcarrier_spacing"), POSITIVE),
        **dict.fromkeys(("reflectivity_std", "reflectivity_spread", "phase_std"), NOT_NEGATIVE),
        **dict.fromkeys(("sparsity", "blocked_share"), PROBABILITY),
        "missing_links": (*NOT_NEGATIVE, 0.95),
        "blocked_los": (0.3,),
        "bandwidth": (-1.0, 100e6),
        "subtract_los": (True,),
        "phase_model": ("clocks",),
        **dict.fromkeys(("name", "off_grid", "snr_db", "los"), FREE),
    },
    "ScreeningSettings": dict.fromkeys(("candidates", "spacing", "separation", "guard"), POSITIVE),
    "SeparationSettings": {
        **dict.fromkeys(("spare", "batches", "starts", "first_steps", "kept", "final_steps", "fits"), COUNT),
        **dict.fromkeys(("largest_effort", "placements", "survivors", "trial_steps", "joint_steps"), COUNT),
        "completion_steps": COUNT,
        "most": (*COUNT, 1),
        **dict.fromkeys(("apart", "largest_move"), POSITIVE),
        "window": FREE,
    },
    "Size": {"n_scenes": COUNT, "values": FREE, "levels": FREE},
    "SparseBayesian": {
        **dict.fromkeys(("prune", "first_noise", "largest_move"), POSITIVE),
        **dict.fromkeys(("iterations", "oversampling"), COUNT),
    },
    "StepSettings": {
        **dict.fromkeys(("phase_count", "steps", "final_steps"), COUNT),
        **dict.fromkeys(("tolerance", "largest_move"), POSITIVE),
    },
    "SynchronisationSettings": {
        "alignment_iterations": COUNT,
        "phase_step": (0.0, 2.0),
        "momentum": OPEN_SHARE,
        "method": FREE,
        "node_phase": ("with_delay",),
    },
    "TuningSettings": {"n_draws": COUNT, "n_scenes": COUNT, "seed": COUNT_OR_NONE},
    "WindowSettings": {
        **dict.fromkeys(("radius", "anchor_spacing", "spacing"), POSITIVE),
        **dict.fromkeys(("points", "pairs"), COUNT),
    },
}

# The same for the options of all commands, by name; any value of the type where they are not listed.
OPTIONS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("n_scenes", "n_draws", "batch_size", "threads"), COUNT),
    **dict.fromkeys(("seed", "adapt"), COUNT_OR_NONE),
    "device": ("moon",),
}
