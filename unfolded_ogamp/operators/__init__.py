"""Linear maps between coefficients on positions and CSI, with forward, adjoint and energy; never dense."""

from unfolded_ogamp.operators.multistatic import MultistaticOperator, dictionary_scale, gain_constant, node_factor
from unfolded_ogamp.operators.off_grid import OffGridOperator, unit_vectors

__all__ = ["MultistaticOperator", "OffGridOperator", "dictionary_scale", "gain_constant", "node_factor", "unit_vectors"]
