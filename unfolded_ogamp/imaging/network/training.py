"""The loss of one batch of scenes: the network runs from one start, and every stage of it is judged."""

from __future__ import annotations

from torch import Tensor

from unfolded_ogamp.imaging.greedy import restarts
from unfolded_ogamp.imaging.likelihood import model_selection
from unfolded_ogamp.imaging.network.loss import (
    LossSettings,
    block_errors,
    competition_loss,
    refinement_loss,
    saturated,
    total_loss,
)
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.physics import Csi, Scene


def batch_loss(
    network: UnfoldedOGAMP, scene: Scene, csi: Csi, settings: LossSettings, batch: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, averaged over the scenes of a batch, and its parts at the end of one start.

    Odd batches start from autofocused phases and go through all blocks, as the second start of a scene does; even ones
    start from the given phases and go to the first exit.
    """
    restart = network.settings.greedy.restarts
    posed = network.pose(csi, scene.array, scene.grid)
    problem, search_grid, phases = posed.problem, posed.search_grid, posed.phases
    focused = batch % 2 == 1
    if focused:
        phases = restarts.focused_phases(problem, phases, restart)
    states = list(network.states(problem, search_grid, phases))
    blocks = [block_errors(state, scene, settings) for state in states]
    last = states[-1] if focused else states[network.settings.first_exit - 1]
    refined = network.refinement(last, problem, search_grid).model
    refinement = refinement_loss(refined, scene, settings)
    log_odds = network.log_odds(refined, problem)
    competition = competition_loss(log_odds, refined, scene, settings)
    # of a start that ended in a trap nothing can be told; it is started anew
    competition = competition * model_selection.consistent(refined, problem, restart.margin)
    loss = total_loss(blocks, settings) + settings.refinement * refinement + settings.competition * competition
    parts = {"refinement": refinement, "competition": competition}
    parts |= {name: getattr(blocks[-1], name) for name in ("phase", "position", "detection")}
    return saturated(loss, settings).mean(), {name: value.detach().nanmean() for name, value in parts.items()}
