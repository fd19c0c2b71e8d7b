"""Pictures of estimates and of what was learned. Needs `matplotlib`, so the package does not import it by itself.

Every function returns a `matplotlib.figure.Figure`; nothing is written or shown, and no global state is touched.
"""

from unfolded_ogamp.evaluation.figures.comparison import comparison_figure
from unfolded_ogamp.evaluation.figures.overview import estimate_figure, headline
from unfolded_ogamp.evaluation.figures.parameters import parameter_figure
from unfolded_ogamp.evaluation.figures.reliability import reliability_figure
from unfolded_ogamp.evaluation.figures.transfer import transfer_figure

__all__ = [
    "comparison_figure",
    "estimate_figure",
    "headline",
    "parameter_figure",
    "reliability_figure",
    "transfer_figure",
]
