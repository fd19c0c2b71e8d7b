"""OG-AMP, and its alternation with the refinement of the node phases: the algorithm of the paper."""
