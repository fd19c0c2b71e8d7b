"""The loss of a batch of scenes: one start of the network, with the errors of every stage."""

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
    """The loss averaged over the scenes of a batch, and its parts.

    Batches of odd number start from autofocused phases and use all blocks, like the second start of a scene; those of
    even number start from the given phases and end at the first exit.
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
    # sources of a start in a local minimum have no correct label; such scenes restart
    competition = competition * model_selection.consistent(refined, problem, restart.margin)
    loss = total_loss(blocks, settings) + settings.refinement * refinement + settings.competition * competition
    parts = {"refinement": refinement, "competition": competition}
    parts |= {name: getattr(blocks[-1], name) for name in ("phase", "position", "detection")}
    return saturated(loss, settings).mean(), {name: value.detach().nanmean() for name, value in parts.items()}
