"""Linear maps between coefficients on positions and CSI, with forward, adjoint and energy; never dense."""

from unfolded_ogamp.operators.multistatic import MultistaticOperator, dictionary_scale
from unfolded_ogamp.operators.off_grid import OffGridOperator

__all__ = ["MultistaticOperator", "OffGridOperator", "dictionary_scale"]
