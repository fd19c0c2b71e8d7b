"""Node phases move only where something holds them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import modelled, posed, started

from unfolded_ogamp.imaging.greedy import rounds
from unfolded_ogamp.imaging.greedy.settings import StepSettings
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import remove

SCENARIO = Scenario(n_tx=10, n_rx=10, pixels=(8, 8), sparsity=0.05)


@pytest.mark.parametrize(("los", "count", "moves"), [(False, 2, False), (False, 3, True), (True, 1, True)])
def test_node_phases_are_fitted_to_three_scatterers_or_a_line_of_sight(los: bool, count: int, moves: bool) -> None:
    """Fewer scatterers leave them so free that they explain what is not found yet."""
    *_, problem, truth = posed(replace(SCENARIO, los=los), 2, seed=1)
    assert truth.used.shape[1] == 3
    known = remove(truth, torch.arange(3).expand(2, -1) >= count)
    aligned = rounds.align(modelled(known, problem), problem, StepSettings()).sources
    refined = rounds.refine(started(known, problem), problem, StepSettings(), steps=2).model.sources
    for fitted in (aligned, refined):
        for before, after in ((known.tx_phase, fitted.tx_phase), (known.rx_phase, fitted.rx_phase)):
            assert bool((before == after).all()) != moves
