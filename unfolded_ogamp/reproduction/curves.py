"""The curves of Figures 6 to 8: the paper's, their tuned counterparts, the greedy rival and the unfolded network."""

from __future__ import annotations

from dataclasses import replace

from unfolded_ogamp.estimate import Estimator
from unfolded_ogamp.estimators import PRESETS, AlternatingEstimator, AlternatingSettings, GreedyEstimator
from unfolded_ogamp.reproduction.sweep import Curve

GAMP, GAMP_IDEAL = "GAMP (paper)", "GAMP (paper), no offsets"
PAPER, PAPER_IDEAL = "OG-AMP + AO (paper)", "OG-AMP (paper), no offsets"
PAPER_MOVING, PAPER_FIXED = "OG-AMP (paper), gradient update", "OG-AMP (paper), fixed pixels"
PAPER_ONCE = "OG-AMP without AO (paper)"
TUNED, TUNED_IDEAL = "OG-AMP + AO (tuned)", "OG-AMP (tuned), phases known"
GREEDY, NETWORK = "greedy", "unfolded network"

HELD = 1e-9  # share of a phase correction that moves nothing


def paper_settings(preset: str, sparsity: float, blocks: int) -> AlternatingSettings:
    """A preset of the paper that is told the true sparsity, for a number of alternations (1 is without AO)."""
    settings = PRESETS[preset]()
    return replace(settings, imaging=replace(settings.imaging, sparsity=sparsity), blocks=blocks)


def phases_known(settings: AlternatingSettings, blocks: int) -> AlternatingSettings:
    """The same imaging for a number of blocks, with all node phases left at zero."""
    held = replace(settings.synchronisation, phase_step=HELD, momentum=0.0)
    return replace(settings, synchronisation=held, phase_tolerance=0.0, blocks=blocks)


def sweep_curves(sparsity: float, network: Estimator) -> list[Curve]:
    """All curves of Figures 6 to 8.

    Without AO the paper's estimators image once, at the phases that coarse synchronisation left, and refine the phases
    once. On scenes without phase offsets ("ideal" in the paper) they know the phases.
    """
    alternations = PRESETS["og_amp_paper"]().blocks
    settings = {
        GAMP: paper_settings("gamp_off_grid", sparsity, blocks=1),
        PAPER_ONCE: paper_settings("og_amp_paper", sparsity, blocks=1),
        PAPER: paper_settings("og_amp_paper", sparsity, alternations),
        TUNED: PRESETS["og_amp"](),
    }
    ideal = {
        GAMP_IDEAL: settings[GAMP],
        PAPER_IDEAL: settings[PAPER_ONCE],
        TUNED_IDEAL: phases_known(settings[TUNED], blocks=20),
    }
    return [
        *(Curve(name, AlternatingEstimator(value)) for name, value in settings.items()),
        *(Curve(name, AlternatingEstimator(value), ideal=True) for name, value in ideal.items()),
        Curve(GREEDY, GreedyEstimator()),
        Curve(NETWORK, network),
    ]
