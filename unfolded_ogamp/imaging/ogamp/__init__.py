"""The algorithm of the paper: OG-AMP imaging in alternation with the refinement of the node phases."""
