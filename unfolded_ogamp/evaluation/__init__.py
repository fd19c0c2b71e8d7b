"""How good an estimate is: point sets, statistics, comparisons, tables and figures, for every system."""
