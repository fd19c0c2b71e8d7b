"""Evaluation of estimates, for every system: point sets, statistics, comparisons, tables and figures."""
