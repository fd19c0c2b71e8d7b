"""The self-calibrating fit from the truth: what a search can reach at best where there is no bound."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging import moments
from unfolded_ogamp.imaging.estimate import Estimate
from unfolded_ogamp.imaging.greedy.calibration import Calibration
from unfolded_ogamp.imaging.greedy.conclusion import conclude_calibrated
from unfolded_ogamp.imaging.greedy.estimator import posed
from unfolded_ogamp.imaging.model import evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.selfcalibration import start
from unfolded_ogamp.imaging.selfcalibration.fit import begin
from unfolded_ogamp.imaging.selfcalibration.priors import Scales
from unfolded_ogamp.imaging.selfcalibration.settings import CalibrationSettings
from unfolded_ogamp.imaging.sources import Nodes, Sources
from unfolded_ogamp.physics import Csi, Scene


@torch.no_grad()
def from_truth(csi: Csi, scene: Scene) -> Estimate:
    """The estimate of one start from the true scatterers and nodes of a scene, a batch of one in double precision."""
    settings = CalibrationSettings()
    full, problem = posed(csi, scene.assumed_array, scene.grid)
    sources = replace(Sources.of_scene(scene, problem), nodes=true_nodes(scene, problem))
    sources = replace(sources, reflectivity=fitted(sources, problem))
    calibration = Calibration(problem, settings)
    calibration.add(start.resume(begin(problem, sources, Scales.first(problem)), problem, settings), independent=True)
    return conclude_calibrated(calibration, full, scene.grid.centre.dtype)


def true_nodes(scene: Scene, problem: Problem) -> Nodes:
    """The true deviations of the nodes from their list."""
    array, listed = scene.array, Nodes.as_listed(problem)
    levels = (
        level if gain is None else gain.log()
        for gain, level in ((array.tx_gain, listed.tx_level), (array.rx_gain, listed.rx_level))
    )
    return Nodes(array.tx - problem.array.tx, array.rx - problem.array.rx, *levels)


def fitted(sources: Sources, problem: Problem) -> Tensor:
    """Reflectivities of least squares at given positions, node phases and nodes: complex [1, S]."""
    model = evaluate(sources, problem)
    columns = (moments.written_out(model.columns) * problem.link[..., None]).flatten(1, 3)
    rest = model.residual + model.channel - problem.los * problem.link
    return torch.linalg.lstsq(columns, rest.flatten(1)[..., None]).solution[..., 0]
