"""Whether CSI means what this package takes it to mean: units, axes, the sign of the exponent, geometry."""

from unfolded_ogamp.checks.check import Check, Verdict
from unfolded_ogamp.checks.run import check_arrays

__all__ = ["Check", "Verdict", "check_arrays"]
